"""The command line as a user types it: bad input is one sentence, exit status 2, nothing written."""

import os
import pickle
import socket
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from salun_grid.grid.cli import main
from salun_grid.grid.lock import DriverLock, held
from salun_grid.grid.plan import make_plan
from salun_grid.grid.store import Store
from tests.support.studies import SMALL_SETTINGS, run_without_ray, small_study


def salun_grid(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


class Payload:
    """Unpickling this makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


def bad_file(name: str, folder: Path) -> Path:
    """A bad .npz in `folder`: with `pickled` objects, `broken` half-way, or with a `hole` where arrays should be."""
    path = folder / f"{name}.npz"
    images = np.array([Payload(folder / "ran")], dtype=object) if name == "pickled" else np.zeros((3, 8, 8), np.uint8)
    np.savez(path, train_images=images, train_labels=np.array([0, 1, 2]))
    if name == "broken":
        path.write_bytes(path.read_bytes()[:100])
    return path


# Options after the command ({file}: a bad file), and what the sentence must say.
BAD_INPUTS = {
    "dataset": ("--dataset bloodmnits", "Did you mean 'bloodmnist'"),
    "method": ("--method saloon", "Choose from: retrain, retrain-again, original, finetune"),
    "augmentation": ("--augmentation defaults", "Did you mean 'default'"),
    "study": ("dmeo", "Did you mean 'demo'"),
    "rate 0": ("--forget-rate 0", "between 0 and 1"),
    "rate 1": ("--forget-rate 1", "between 0 and 1"),
    "rate nan": ("--forget-rate nan", "between 0 and 1"),
    "empty forget set": ("--forget-rate 0.0001", "empty forget set"),
    "empty retain set": ("--forget-rate 0.9999", "empty retain set"),
    "missing npz": ("--dataset none.npz", "no dataset file"),
    "broken npz": ("--dataset {broken}", "damaged or not an .npz file"),
    "npz with a hole": ("--dataset {hole}", "has no array val_images"),
    "pickled npz": ("--dataset {pickled}", "pickled Python objects"),
    "epochs": ("--epochs 0", "training.epochs must be a whole number, at least 1"),
    "field": ("--set training.epoch=1", "Did you mean 'training.epochs'"),
    "setting": ("--set epochs", "training.epochs=5"),
    "size": ("--dataset bloodmnist --image-size 65", "MedMNIST publishes"),
}


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input(command: str, case: str, tmp_path: Path) -> None:
    options, sentence = BAD_INPUTS[case]
    files = {name: str(bad_file(name, tmp_path)) for name in ("pickled", "broken", "hole")}
    before = sorted(tmp_path.iterdir())
    result = salun_grid(command, *options.format(**files).split(), "--out", tmp_path / "out")
    assert result.exit_code == 2, result.output
    assert sentence in " ".join(result.stderr.split())
    assert "Traceback" not in result.output
    assert sorted(tmp_path.iterdir()) == before


def test_the_pickle_would_have_run(tmp_path: Path) -> None:
    """Guards the case above: with pickles allowed, the file does make the folder."""
    pickle.loads(pickle.dumps(Payload(tmp_path / "ran")))
    assert (tmp_path / "ran").is_dir()


def test_a_folder_that_cannot_be_written(small_npz: Path) -> None:
    result = salun_grid("run", "--dataset", small_npz, "--out", "/proc/results")
    assert result.exit_code == 2
    assert "cannot write to --out /proc/results" in result.stderr


def test_a_folder_of_another_schema_version(small_npz: Path, tmp_path: Path) -> None:
    (tmp_path / "format.json").write_text('{"schema_version": 99}')
    for command in ("plan", "run"):
        result = salun_grid(command, "--dataset", small_npz, "--out", tmp_path)
        assert result.exit_code == 2
        assert "schema version 99" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["format.json", "small.npz"]


def test_plan_says_what_would_run(small_npz: Path, tmp_path: Path) -> None:
    result = salun_grid("plan", "digits", "--dataset", small_npz, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "120 / 30 / 40 images, 3 classes, 8 px" in result.stdout
    assert "60 (20 trainings, 8 unlearnings, 32 evaluations); 0 already done" in result.stdout
    assert not (tmp_path / "out").exists()


def test_plan_prices_what_is_missing_by_the_rows_that_landed(small_npz: Path, tmp_path: Path) -> None:
    words = (
        "plan",
        "digits",
        "--dataset",
        small_npz,
        *SMALL_SETTINGS,
        "--set",
        "training.batch_size=32",
        "--price",
        "3.5",
    )
    assert "CPU core-hours of training; " in salun_grid(*words, "--out", tmp_path / "out").stdout
    store = Store(str(tmp_path / "out"))
    run_without_ray(make_plan(small_study(small_npz)), store)
    own = salun_grid(*words, "--out", tmp_path / "out").stdout
    assert "1 thread): " in own
    assert "at 3.5 an hour (fitted to 4 rows; error of held-out rows " in own
    measured = salun_grid(*words, "--out", tmp_path / "new", "--measured", tmp_path / "out").stdout
    assert "(fitted to 4 rows; " in measured
    assert not (tmp_path / "new").exists()
    # Rows of another precision: a folder that was named is an error, the out folder's are passed over.
    words += ("--set", "model.precision=bf16", "--out", tmp_path / "out")
    assert "CPU core-hours" in salun_grid(*words).stdout
    refused = salun_grid(*words, "--measured", tmp_path / "out")
    assert refused.exit_code == 2
    assert "has bf16 and the 3x3 stem, as this study has" in refused.stderr


PRICES = {
    "0": "--price must be a number above 0",
    "-1": "above 0",
    "nan": "above 0",
    "inf": "above 0",
    "x": "not a valid",
}


@pytest.mark.parametrize("price", PRICES)
def test_a_price_is_a_number_above_0(price: str, tmp_path: Path) -> None:
    result = salun_grid("plan", "--out", tmp_path / "out", "--price", price)
    assert result.exit_code == 2
    assert PRICES[price] in " ".join(result.stderr.split())
    assert "estimate" not in result.stdout


def test_measured_wants_folders_with_rows(tmp_path: Path) -> None:
    result = salun_grid("plan", "--out", tmp_path / "out", "--measured", tmp_path)
    assert result.exit_code == 2
    assert "holds no runs yet" in " ".join(result.stderr.split())
    assert not list(tmp_path.iterdir())


def test_status_counts_what_has_landed(small_npz: Path, tmp_path: Path) -> None:
    plan, store = make_plan(small_study(small_npz)), Store(str(tmp_path / "out"))
    assert salun_grid("status", "--out", tmp_path / "out").exit_code == 2
    store.create()
    store.publish_study(plan.summary())
    assert "small: 0/8 jobs done" in salun_grid("status", "--out", tmp_path / "out").stdout
    assert "no active run" in salun_grid("status", "--out", tmp_path / "out").stdout
    with held(DriverLock(store)):
        here = salun_grid("status", "--out", tmp_path / "out").stdout
    assert f"active run: process {os.getpid()} on {socket.gethostname()}, last heartbeat" in here
    run_without_ray(plan, store)
    assert "small: 8/8 jobs done: 4/4 models, 4/4 rows" in salun_grid("status", "--out", tmp_path / "out").stdout


@pytest.mark.parametrize("command", [[], ["plan"], ["run"], ["status"]])
def test_help(command: list[str]) -> None:
    assert "Usage:" in salun_grid(*command, "--help").stdout


@pytest.mark.parametrize("words", [["--compile"], ["--gpus-per-job", "0.5"]])
def test_several_workers_go_neither_with_compiling_nor_with_parts_of_a_gpu(words: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = CliRunner().invoke(main, ["run", "digits", *words, "--workers", "2", "--out", str(out)])
    assert result.exit_code == 2 and words[0] in result.output and "Traceback" not in result.output
    assert not out.exists()
