"""`salun-grid export`, and that the README's lines of plain PyTorch load what it gives."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from salun_grid.analysis.results import open_table, read_runs
from salun_grid.grid.cli import main
from salun_grid.grid.plan import Plan, make_plan
from salun_grid.grid.store import Store
from salun_grid.trainables.data import load
from salun_grid.trainables.protocol import ModelConfig
from tests.support.small_data import write_small_npz
from tests.support.studies import PROTOCOL, run_without_ray, small_study

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def salun_grid(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    """A study of two models of width 64 with the 3×3 stem, and its folder."""
    folder = tmp_path_factory.mktemp("finished")
    study = small_study(write_small_npz(folder / "small.npz"), methods=("retrain", "original"))
    plan = make_plan(replace(study, protocol=replace(PROTOCOL, model=ModelConfig())))
    run_without_ray(plan, Store(str(folder / "out")))
    return plan, folder / "out"


@pytest.fixture
def landed(finished: tuple[Plan, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Plan, Store]:
    """That study, copied to the working folder's `out`."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished[1], "out")
    return finished[0], Store("out")


def python_of_readme() -> str:
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    return block


def test_the_lines_of_the_readme_give_our_logits(landed: tuple[Plan, Store]) -> None:
    """Those that landed in `predictions`, for the retrain's model."""
    plan, _ = landed
    (run,) = [run for run in read_runs("out") if run["method"] == "retrain"]
    result = salun_grid("export", run["model_key"][:8], "--out", "out", "--to", "model")
    assert result.stdout == "model\n", result.output
    test_images = load(next(iter(plan.datasets.values()))).images["test"]
    grey = torch.as_tensor(test_images).permute(0, 3, 1, 2)
    names = {"images": grey.expand(-1, 3, -1, -1) / 255}
    with torch.no_grad():
        exec(python_of_readme(), names)
    rows = [row for row in open_table("out", "predictions").to_table().to_pylist() if row["job_key"] == run["job_key"]]
    ours = np.array([row["logits"] for row in rows if row["split"] == "test"])
    assert ours.shape == (40, 3)
    np.testing.assert_allclose(names["logits"], ours, rtol=1e-4, atol=1e-5)


def test_the_readme_needs_five_lines() -> None:
    lines = [line for line in python_of_readme().splitlines() if line and "import" not in line]
    assert len(lines) == 5


def test_without_a_key_the_models_are_listed(landed: tuple[Plan, Store]) -> None:
    plan, _ = landed
    kinds = {job.method: job.key for job in plan.jobs.values() if job.makes == "model"}
    lines = [line.split("  ") for line in salun_grid("export", "--out", "out").stdout.splitlines()]
    cell = "small 8 px · none · seed 0 · resnet18, 3x3 stem, width 64"
    assert lines == [[kinds["original"], f"original · {cell}"], [kinds["retrain"], f"retrain 10% · {cell}"]]


def test_a_model_by_its_key(landed: tuple[Plan, Store]) -> None:
    """Into ./KEY where nothing is said, as the bytes that were published; never over what is there."""
    plan, store = landed
    key = next(iter(plan.jobs.values())).key
    assert salun_grid("export", key, "--out", "out").stdout == f"{key}\n"
    assert sorted(path.name for path in Path(key).iterdir()) == ["manifest.json", "weights.safetensors"]
    assert Path(key, "weights.safetensors").read_bytes() == store.read_weights(key)
    assert json.loads(Path(key, "manifest.json").read_text())["model_key"] == key

    Path(key, "weights.safetensors").write_bytes(b"mine")
    again = salun_grid("export", key, "--out", "out")
    assert again.exit_code == 2
    assert "already exists and is not overwritten; give a new folder with --to" in " ".join(again.stderr.split())
    assert Path(key, "weights.safetensors").read_bytes() == b"mine"


@pytest.fixture
def two_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two models without rows, in the working folder's `out`."""
    monkeypatch.chdir(tmp_path)
    store = Store("out")
    store.create()
    for key in ("aa11", "aa22"):
        store.publish_model(key, b"weights", {"model_key": key})


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["bb", "--out", "out"], "no model 'bb' is published in out; `salun-grid export --out out` lists them"),
        (["../..", "--out", "out"], "no model '../..' is published in out"),
        (["aa", "--out", "out"], "2 models of out start with 'aa'; give more digits"),
        (["aa1", "--out", "elsewhere"], "no model 'aa1' is published in elsewhere"),
        (["aa1", "--out", "out", "--to", "/proc/model"], "cannot write to /proc/model"),
        (["aa1", "--out", "out", "--to", "s3://bucket/a"], "is not a local folder"),
        (["--out", "out"], "out holds no runs yet"),
        (["--out", "elsewhere"], "there is no folder elsewhere"),
    ],
)
def test_what_cannot_be_exported(two_models: None, words: list[str], sentence: str) -> None:
    before = sorted(Path().rglob("*"))
    result = salun_grid("export", *words)
    assert result.exit_code == 2, result.output
    assert sentence in " ".join(result.stderr.split())
    assert "Traceback" not in result.output
    assert sorted(Path().rglob("*")) == before


def test_a_folder_whose_name_is_too_long_is_one_sentence(landed: tuple[Plan, Store]) -> None:
    plan, _ = landed
    result = salun_grid("export", next(iter(plan.jobs)), "--out", "out", "--to", "x" * 300)
    assert result.exit_code == 2 and isinstance(result.exception, SystemExit)
    assert "File name too long" in result.stderr and len(result.stderr.splitlines()) == 1
