"""The reference that ours is measured against computes the same, and the page says what was measured."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import peer
from benchmarks.folders import COUNTS, METHODS, make_rows, write
from benchmarks.groups import PATIENTS, SLICES, with_slices
from benchmarks.measure import Result, interleaved
from benchmarks.performance import section
from benchmarks.salun import scores_of
from salun_grid.analysis.cells import cells_of
from salun_grid.analysis.metrics import Attack, Predictions, membership_inference
from salun_grid.analysis.results import open_table, read_runs
from salun_grid.trainables.architectures import build_model
from salun_grid.trainables.optimizers import apply_mask, sgd
from salun_grid.trainables.protocol import ModelConfig
from salun_grid.trainables.saliency import top_fractions


def small_model(seed: int = 0) -> torch.nn.Module:
    model = build_model(ModelConfig(width=4), 3, seed)
    random = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        weight.grad = torch.randn(weight.shape, generator=random).to(memory_format=torch.preserve_format)
    return model


def test_the_reference_chooses_the_same_weights() -> None:
    scores = scores_of(small_model())
    ours = top_fractions(list(scores.values()), peer.THRESHOLDS)
    for theirs, mask in zip(peer.masks(scores), ours, strict=True):
        assert all(torch.equal(theirs[name].bool(), part) for name, part in zip(scores, mask, strict=True))


def test_the_reference_ends_a_masked_step_at_the_same_weights() -> None:
    theirs, ours = small_model(), small_model()
    scores = scores_of(theirs)
    (mask,) = top_fractions(list(scores.values()), [0.5])
    kept = {name: part.float() for name, part in zip(scores, mask, strict=True)}
    optimizer = sgd(ours, 0.013, momentum=0.9, weight_decay=5e-4)
    apply_mask(optimizer, mask, "hard")
    optimizer.step()
    peer.masked_step(theirs, peer.sgd(theirs, 0.013), kept)
    for mine, wanted, before in zip(ours.parameters(), theirs.parameters(), small_model().parameters(), strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-6, atol=1e-7)
        assert mine.numel() < 100 or not torch.equal(mine, before)


def test_the_last_of_the_references_attacks_is_ours() -> None:
    random = np.random.default_rng(0)
    counts = {"train": 120, "val": 40, "test": 80}
    logits = {split: random.normal(0, 2, (count, 3)).astype(np.float32) for split, count in counts.items()}
    labels = {split: random.integers(0, 3, count) for split, count in counts.items()}
    forgotten = np.arange(120) < 30
    probability = {split: torch.softmax(torch.from_numpy(part).double(), 1).numpy() for split, part in logits.items()}
    scores = {
        "forget": peer.features(probability["train"][forgotten], labels["train"][forgotten]),
        "retain": peer.features(probability["train"][~forgotten], labels["train"][~forgotten]),
        "test": peer.features(probability["test"], labels["test"]),
    }
    wanted = membership_inference(Predictions(logits, labels, forgotten), Attack())
    assert 100 * peer.attacks(scores)["attack 4"] == pytest.approx(wanted)


def test_ratios_are_of_medians_to_the_first_way() -> None:
    result = Result("case", "images", 12, {"slow": [4.0, 8.0, 6.0], "fast": [2.0, 1.0, 9.0]})
    assert result.ratio("slow") == 1 and result.ratio("fast") == 3
    assert result.rates("fast") == (6, 12 / 9, 12)
    text = section("training", {"about": "Measured here.", "results": [result.__dict__]})
    assert "| case | slow | 2 images (1.5–3) | 6 | 1.00 |" in text
    assert "|  | fast | 6 images (1.33–12) | 2 | 3.00 |" in text
    assert "n = 3" in text and "Measured here." in text


def test_ways_take_turns() -> None:
    order: list[str] = []
    variants = {name: lambda name=name: order.append(name) for name in ("a", "b")}
    seconds = interleaved(variants, 2, before=lambda: order.append("-"))
    assert order == ["a", "b", "-", "a", "-", "b", "-", "a", "-", "b"]
    assert [len(times) for times in seconds.values()] == [2, 2]


def test_synthetic_results_are_read_as_a_grids(tmp_path: Path) -> None:
    rows = make_rows(["a", "b"], [0.25], ["none"], [0, 1])
    write(tmp_path, rows, num_models=2)
    runs = read_runs(str(tmp_path))
    assert len(runs) == 2 * 2 * len(METHODS)
    assert {run["job_key"]: run["num_forget"] for run in runs} == {row["job_key"]: 3_500 for row in rows}
    assert all(cell.target and cell.target["dataset"] == cell.run["dataset"] for cell in cells_of(runs))
    table = open_table(str(tmp_path), "predictions").to_table(columns=["job_key", "forgotten"]).to_pandas()
    own = table[table["job_key"] == rows[1]["job_key"]]
    assert (len(own), own["forgotten"].sum()) == (sum(COUNTS.values()), 3_500)
    assert len(table) == len(rows) * len(own) and table["job_key"].nunique() == 2


def test_slices_are_near_duplicates_that_keep_group_and_label() -> None:
    rng = np.random.default_rng(0)
    counts = {"train": PATIENTS + 5, "val": 6, "test": 7}
    images = {s: rng.integers(0, 256, (n, 12, 12, 1)).astype(np.uint8) for s, n in counts.items()}
    labels = {s: rng.integers(0, 2, n) for s, n in counts.items()}
    found = with_slices(images, labels)
    assert found["train_images"].shape == (PATIENTS * SLICES, 12, 12)
    for patient in range(PATIENTS):
        own = slice(patient * SLICES, (patient + 1) * SLICES)
        assert len(set(found["train_groups"][own])) == 1 and set(found["train_labels"][own]) == {
            labels["train"][patient]
        }
    assert len(set(found["train_groups"])) == PATIENTS
    assert len(np.unique(found["train_images"], axis=0)) == PATIENTS * SLICES
    for split in ("val", "test"):
        assert np.array_equal(found[f"{split}_images"], images[split][..., 0])
        assert len(set(found[f"{split}_groups"])) == counts[split]
    ids = [name for split in counts for name in found[f"{split}_ids"]]
    assert len(set(ids)) == len(ids)


def test_no_benchmark_imports_a_test() -> None:
    files = list(Path(peer.__file__).parent.glob("*.py"))
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    modules = [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    modules += [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    assert "salun_grid.grid.study" in modules
    assert [module for module in modules if (module or "").split(".")[0] == "tests"] == []
