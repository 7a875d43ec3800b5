"""The base install, without torch and Ray: what needs them names the extra, the rest works. And its streams."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from salun_grid.grid.lock import DriverLock, held
from salun_grid.grid.plan import make_plan
from salun_grid.grid.store import Store
from salun_grid.grid.study import narrowed
from salun_grid.grid.study_file import find_study
from tests.support.installs import without_extra
from tests.support.processes import grid_command
from tests.support.small_data import write_small_npz
from tests.support.studies import SMALL_SETTINGS, run_without_ray

AXES = {"forget_sets": ("random:0.1",), "augmentations": ("none",), "seeds": (0,)}
OPTIONS = ["--forget-rate", "0.1", "--augmentation", "none", "--seed", "0", *SMALL_SETTINGS]


@pytest.fixture(scope="module")
def npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_npz(tmp_path_factory.mktemp("data") / "small.npz")


@pytest.fixture(scope="module")
def out(npz: Path) -> Path:
    """A folder in which the study of OPTIONS is complete."""
    settings = ["training.epochs=2", "unlearning.epochs=1", "model.width=4"]
    study = narrowed(find_study("digits"), AXES | {"datasets": (str(npz),)}, settings)
    plan, store = make_plan(study), Store(str(npz.parent / "out"))
    store.create()
    store.publish_study(plan.summary())
    run_without_ray(plan, store)
    return npz.parent / "out"


@pytest.mark.parametrize("command", ["plan", "run"])
def test_what_needs_torch_names_the_extra_and_writes_nothing(command: str, tmp_path: Path) -> None:
    done = without_extra(command, "--out", tmp_path / "out")
    assert done.returncode == 2
    *_, last = done.stderr.splitlines()
    assert last.startswith("Error: this command needs ") and "pip install '.[grid]'" in last
    assert "Traceback" not in done.stderr and not (tmp_path / "out").exists()


def test_another_missing_module_is_a_fault_of_ours_and_not_blamed_on_the_extra(out: Path) -> None:
    done = without_extra("status", "--out", out, packages=frozenset({"pyarrow"}))
    assert done.returncode == 1 and "ModuleNotFoundError" in done.stderr


def test_status_and_export_work_without_the_extra(out: Path) -> None:
    status = without_extra("status", "--out", out)
    assert status.returncode == 0, status.stderr
    assert "no active run" in status.stdout and "digits: 8/8 jobs done" in status.stdout
    models = without_extra("export", "--out", out)
    assert models.returncode == 0, models.stderr
    assert len(models.stdout.splitlines()) == 4


def test_status_without_psutil_goes_by_the_heartbeat(out: Path) -> None:
    with held(DriverLock(Store(str(out)))):
        assert f"active run: process {os.getpid()}" in without_extra("status", "--out", out).stdout


def test_a_study_cannot_forge_a_line_of_status(out: Path, tmp_path: Path) -> None:
    out = shutil.copytree(out, tmp_path / "copy")
    (file,) = (out / "studies").iterdir()
    study = json.loads(file.read_text()) | {"study": "x\nforged: 9/9 jobs done", "command": "run \x1b[2J"}
    file.write_text(json.dumps(study))
    done = without_extra("status", "--out", out)
    assert len(done.stdout.splitlines()) == 2
    assert r"x\nforged: 9/9" in done.stdout and "\x1b" not in done.stdout


def run_again(npz: Path, out: Path) -> list[str]:
    """The command of a run that finds all of its jobs done."""
    return grid_command("run", "digits", "--dataset", npz, *OPTIONS, "--out", out)


@pytest.mark.slow
def test_a_run_prints_its_results_in_an_encoding_without_our_signs(npz: Path, out: Path) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(run_again(npz, out), capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Nothing to do" in done.stdout and b"Table 1." in done.stdout and b"?" in done.stdout


@pytest.mark.slow
def test_a_closed_pipe_ends_a_run_silently(npz: Path, out: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(run_again(npz, out), stdout=write_end, stderr=subprocess.PIPE, check=False)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (1, b"")
