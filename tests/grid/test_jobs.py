"""What a job publishes, run without Ray."""

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds
import pytest
import torch
from safetensors.torch import load as load_safetensors

from salun_grid.analysis.metrics import Attack, Predictions, evaluate
from salun_grid.analysis.results import open_table, read_runs
from salun_grid.grid import jobs, workplace
from salun_grid.grid.jobs import Workplace, run_job
from salun_grid.grid.memory import reset_peak
from salun_grid.grid.plan import Plan, make_plan, missing_jobs
from salun_grid.grid.store import Store
from salun_grid.records.errors import Diverged
from salun_grid.records.schemas import SCHEMAS
from salun_grid.trainables.architectures import ResNet18
from salun_grid.trainables.data import load
from salun_grid.trainables.passes import Epoch, Passes
from salun_grid.trainables.resident import ResidentData
from tests.support.small_data import write_small_npz
from tests.support.studies import PROTOCOL, run_without_ray, small_study


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    """A finished study and its folder."""
    folder = tmp_path_factory.mktemp("finished")
    plan = make_plan(small_study(write_small_npz(folder / "small.npz"), augmentations=("default",)))
    run_without_ray(plan, Store(str(folder / "out")))
    return plan, folder / "out"


@pytest.fixture
def landed(finished: tuple[Plan, Path], tmp_path: Path) -> tuple[Plan, Store]:
    """That study in a copy, which a test may change."""
    return finished[0], Store(str(shutil.copytree(finished[1], tmp_path / "out")))


def test_every_job_lands_once(landed: tuple[Plan, Store]) -> None:
    plan, store = landed
    assert missing_jobs(plan, store) == []
    runs = read_runs(store.out)
    assert sorted(run["method"] for run in runs) == ["original", "retrain", "retrain-again", "salun"]
    assert len({run["job_key"] for run in runs}) == 4
    assert store.published_models() == {key for key, job in plan.jobs.items() if job.makes == "model"}


def test_a_killed_training_goes_on_from_its_last_epoch(
    landed: tuple[Plan, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, undisturbed = landed
    job = next(job for job in plan.jobs.values() if job.method == "retrain")
    store, dataset = Store(str(tmp_path / "killed")), load(job.data)
    store.create()
    monkeypatch.setattr(jobs, "CHECKPOINT_SECONDS", 0.0)
    reported: list[int] = []

    def die_in_the_last(epoch: Epoch) -> None:
        reported.append(epoch.epoch)
        if reported == [0, 1]:
            raise KeyboardInterrupt

    place = Workplace(plan.study, dataset, store, torch.device("cpu"), die_in_the_last)
    with pytest.raises(KeyboardInterrupt):
        run_job(job, place, lambda loop: loop())
    assert store.read_checkpoint(job.key) and not store.published_rows()
    trained = epochs_trained(monkeypatch)
    run_job(job, place, lambda loop: loop())
    assert reported == [0, 1, 0, 1]
    assert trained == [1], "the first epoch is not trained again"
    assert store.read_checkpoint(job.key) is None
    assert store.read_weights(job.key) == undisturbed.read_weights(job.key)
    assert store.published_models() == {job.key}


def test_a_training_whose_state_cannot_be_saved_goes_on(
    landed: tuple[Plan, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a disk with room for the model, but not for its state as well."""
    plan, undisturbed = landed
    refused: list[bytes] = []

    def full_disk(self: Store, key: str, state: bytes) -> None:
        refused.append(state)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(jobs, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(Store, "publish_checkpoint", full_disk)
    store = Store(str(tmp_path / "full"))
    run_without_ray(plan, store)
    assert len(refused) == 2 * 3
    assert missing_jobs(plan, store) == []
    for key in undisturbed.published_models():
        assert store.read_weights(key) == undisturbed.read_weights(key)


def test_a_second_method_on_an_original_loads_neither_data_nor_model_again(
    small_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(small_study(small_npz, methods=("original", "finetune", "random_label")))
    store, read = Store(str(tmp_path / "out")), []
    original = next(job for job in plan.jobs.values() if job.method == "original" and job.makes == "model")

    def noted(self: Store, *parts: str) -> bytes:
        read.append(parts)
        return whole(self, *parts)

    whole = Store.read
    monkeypatch.setattr(Store, "read", noted)
    made: list[str] = []
    resident = ResidentData.of
    monkeypatch.setattr(
        ResidentData, "of", staticmethod(lambda dataset, device: made.append("data") or resident(dataset, device))
    )
    monkeypatch.setattr(workplace, "_resident", {})
    run_without_ray(plan, store)
    assert sum(parts == ("models", original.key, "weights.safetensors") for parts in read) == 1
    assert len(made) == 1
    models = [load_safetensors(store.read_weights(key)) for key in sorted(store.published_models())]
    assert len(models) == 3 and not any(
        torch.equal(one["fc.weight"], other["fc.weight"]) for one, other in itertools.combinations(models, 2)
    )


def epochs_trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The epochs that are trained from now on."""
    epochs: list[int] = []
    over = Passes.over

    def counted(passes: Passes, *arguments: Any, **options: Any) -> Epoch:
        epoch = over(passes, *arguments, **options)
        epochs.append(epoch.epoch)
        return epoch

    monkeypatch.setattr(Passes, "over", counted)
    return epochs


def test_what_lands_has_the_published_schema(landed: tuple[Plan, Store]) -> None:
    _, store = landed
    for table, schema in SCHEMAS.items():
        if table == "measures":  # tests/grid/test_probes.py
            continue
        dataset = ds.dataset(store.address("results", table), format="parquet")
        assert dataset.schema.equals(schema, check_metadata=True)


def test_metrics_can_be_computed_again_from_the_predictions(landed: tuple[Plan, Store]) -> None:
    plan, store = landed
    truth = load(next(iter(plan.datasets.values())))
    for run in read_runs(store.out):
        table = open_table(store.out, "predictions").to_table(filter=ds.field("job_key") == run["job_key"])
        frame = table.to_pandas().set_index("split")
        logits = {split: np.stack(frame.loc[split, "logits"]) for split in ("train", "val", "test")}
        labels = {split: frame.loc[split, "label"].to_numpy() for split in ("train", "val", "test")}
        for split in labels:
            assert (labels[split] == truth.labels[split]).all()
            assert (frame.loc[split, "index"].to_numpy() == np.arange(len(labels[split]))).all()
        forgotten = frame.loc["train", "forgotten"].to_numpy()
        assert forgotten.sum() == run["num_forget"] == 12
        again = evaluate(Predictions(logits, labels, forgotten), Attack(seed=run["seed"]))
        assert again == {name: run[name] for name in again}


def test_the_forget_set_is_the_same_for_every_method(landed: tuple[Plan, Store]) -> None:
    _, store = landed
    table = open_table(store.out, "predictions").to_table(filter=ds.field("forgotten")).to_pandas()
    sets = {key: tuple(rows["index"]) for key, rows in table.groupby("job_key")}
    assert len(sets) == 4
    assert len(set(sets.values())) == 1


def test_the_noop_is_the_original(landed: tuple[Plan, Store]) -> None:
    _, store = landed
    (row,) = [run for run in read_runs(store.out) if run["method"] == "original"]
    assert row["model_key"] == row["original_key"]
    assert row["seconds_total"] == 0.0
    assert row["num_train_images_seen"] == 0


def test_images_seen_and_seconds(landed: tuple[Plan, Store]) -> None:
    _, store = landed
    seen = {run["method"]: run["num_train_images_seen"] for run in read_runs(store.out)}
    assert seen == {"original": 0, "retrain": 2 * 108, "retrain-again": 2 * 108, "salun": 120 + 12}
    for run in read_runs(store.out):
        assert run["seconds_total"] == run["seconds_mask"] + run["seconds_train"]
        assert (run["seconds_mask"] > 0) == (run["method"] == "salun")


def test_every_row_has_the_memory_of_its_jobs(landed: tuple[Plan, Store]) -> None:
    """On a system that cannot restart a process's peak it is null; the no-op made no model."""
    _, store = landed
    for run in read_runs(store.out):
        assert (run["memory_train"] is not None) == (reset_peak() and run["method"] != "original")
        assert (run["memory_eval"] is not None) == reset_peak()
        assert run["memory_eval"] is None or 2**26 < run["memory_eval"] < 2**40
        assert run["device_memory_train"] is run["device_memory_eval"] is None
        assert run["note"] is None


def test_epochs_name_their_passes(landed: tuple[Plan, Store]) -> None:
    plan, store = landed
    rows = open_table(store.out, "epochs").to_table().to_pylist()
    passes: dict[str, list[tuple[int, str]]] = {}
    for row in rows:
        passes.setdefault(row["model_key"], []).append((row["epoch"], row["phase"]))
    for job in plan.jobs.values():
        if job.makes == "row":
            continue
        wanted = [(0, "forget"), (0, "retain")] if job.method == "salun" else [(0, "train"), (1, "train")]
        assert passes[job.key] == wanted


def test_published_weights_load_in_plain_pytorch(landed: tuple[Plan, Store]) -> None:
    plan, store = landed
    (salun,) = [job for job in plan.jobs.values() if job.method == "salun" and job.makes == "model"]
    model = ResNet18(PROTOCOL.model, 3)
    model.load_state_dict(load_safetensors(store.read_weights(salun.key)))
    manifest = store.read_manifest(salun.key)
    assert manifest["job"]["method"] == "salun"
    assert json.loads(manifest["protocol"])["model"]["width"] == 4
    assert torch.isfinite(torch.cat([p.flatten() for p in model.parameters()])).all()


def test_two_folders_hold_the_same_predictions(landed: tuple[Plan, Store], tmp_path: Path) -> None:
    """Same seed, same device: bit-equal logits and weights."""
    plan, store = landed
    other = Store(str(tmp_path / "again"))
    run_without_ray(plan, other)
    for job in plan.jobs.values():
        if job.makes == "model":
            assert store.read_weights(job.key) == other.read_weights(job.key)
        if job.makes == "row":
            name = f"{job.key}.parquet"
            assert store.read("results", "predictions", name) == other.read("results", "predictions", name)


def test_a_published_model_is_not_trained_again(landed: tuple[Plan, Store]) -> None:
    """Its row was lost (killed between model and row): the row is made again from the model."""
    plan, store = landed
    (salun,) = [job for job in plan.cells if job.method == "salun"]
    before = store.read("results", "predictions", f"{salun.key}.parquet")
    store.drop("results", "runs", f"{salun.key}.parquet")
    assert [job.key for job in missing_jobs(plan, store)] == [salun.key]
    assert run_without_ray(plan, store) == []
    assert store.read("results", "predictions", f"{salun.key}.parquet") == before


def test_what_is_published_is_never_written_again(landed: tuple[Plan, Store]) -> None:
    """As where a machine dies after publishing, before Tune heard of it, and Tune starts the job again."""
    plan, store = landed
    before = written(store)
    assert run_without_ray(plan, store) == []
    assert written(store) == before


@pytest.mark.parametrize("meanwhile", ["train", "unlearn", "predict"])
def test_of_two_processes_with_one_job_the_first_to_publish_counts(
    small_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    """As where a job outlives its killed driver and the next driver starts it again."""
    plan, store = make_plan(small_study(small_npz)), Store(str(tmp_path / "out"))
    work, after_the_first = getattr(jobs, meanwhile), {}

    def overtaken(*arguments: Any) -> Any:
        """The other process does the whole study while this one has begun its first piece of work."""
        monkeypatch.setattr(jobs, meanwhile, work)
        result = work(*arguments)
        run_without_ray(plan, store)
        after_the_first.update(written(store))
        return result

    monkeypatch.setattr(jobs, meanwhile, overtaken)
    run_without_ray(plan, store)
    assert after_the_first and written(store) == after_the_first


def written(store: Store) -> dict[Path, int]:
    """When each result was written."""
    folder = Path(store.out)
    return {path: path.stat().st_mtime_ns for name in ("models", "results") for path in folder.glob(f"{name}/**/*.*")}


def test_a_learning_rate_that_is_too_high_is_named(small_npz: Path, tmp_path: Path) -> None:
    """Nothing is published of a model whose weights are no numbers."""
    study = small_study(small_npz, methods=("retrain", "salun:learning_rate=99"))
    plan, store = make_plan(study), Store(str(tmp_path / "out"))
    with pytest.raises(Diverged, match=r"learning.rate"):
        run_without_ray(plan, store)
    assert {run["method"] for run in read_runs(store.out)} == {"retrain"}
