"""`run --local`: the same jobs in this process, without Ray."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from salun_grid.analysis.results import read_runs
from salun_grid.grid.cli import main
from salun_grid.grid.execution import Execution
from salun_grid.grid.plan import make_plan
from salun_grid.grid.store import Store
from salun_grid.grid.study import narrowed
from salun_grid.grid.study_file import find_study
from salun_grid.records.errors import InputError
from tests.support.processes import grid_command
from tests.support.studies import SMALL_SETTINGS, run_without_ray

AXES = ["--seed", "0", "--forget", "random:0.1", "--augmentation", "none", *SMALL_SETTINGS]
SAME = ("method", "seed", "ua", "ra", "ta", "mia", "job_key", "model_key", "num_train_images_seen", "device_name")


def command(npz: Path, out: Path, *words: str) -> list[str]:
    return grid_command("run", "digits", "--dataset", npz, *AXES, "--out", out, *words)


def run(npz: Path, out: Path, *words: str) -> Result:
    """The command within the test's process, where what it imports is imported already."""
    return CliRunner().invoke(main, command(npz, out, "--local", *words)[3:])


@pytest.mark.slow
def test_ray_is_never_imported(small_npz: Path, tmp_path: Path) -> None:
    words = command(small_npz, tmp_path / "out", "--local")[3:]
    code = f"import sys; from salun_grid.grid.cli import main; main({words!r}, standalone_mode=False)"
    watch = f"import atexit, sys; atexit.register(lambda: print('ray' in sys.modules, file=sys.stderr)); {code}"
    done = subprocess.run([sys.executable, "-c", watch], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.splitlines()[-1] == "False"
    assert "8/8 jobs done" in done.stdout and "Table 1." in done.stdout
    salun, no_op = done.stdout.splitlines()[-2:]
    assert salun.startswith("salun: one seed, no test; add a second") and salun.endswith("; n = 1 seed × 1 cell.")
    assert no_op.startswith("original: one seed, no test")
    assert {run["ray_version"] for run in read_runs(tmp_path / "out")} == {"none"}


def test_the_rows_are_those_of_the_jobs(small_npz: Path, tmp_path: Path) -> None:
    done = run(small_npz, tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "8/8 jobs done" in done.output and "Table 1." in done.output

    axes = {"datasets": (str(small_npz),), "seeds": (0,), "forget_sets": ("random:0.1",), "augmentations": ("none",)}
    settings = ["training.epochs=2", "unlearning.epochs=1", "model.width=4"]
    store = Store(str(tmp_path / "wanted"))
    run_without_ray(make_plan(narrowed(find_study("digits"), axes, settings)), store)
    found, wanted = (
        sorted(tuple(run[name] for name in SAME) for run in read_runs(folder))
        for folder in (tmp_path / "out", store.out)
    )
    assert found == wanted


def test_a_failed_job_blocks_what_needs_it_and_the_rest_is_done(small_npz: Path, tmp_path: Path) -> None:
    methods = ["--method", "retrain", "--method", "salun:learning_rate=99,epochs=9", "--method", "finetune"]
    done = run(small_npz, tmp_path / "out", *methods)
    assert done.exit_code == 1
    assert "FAILED salun:epochs=9,learning_rate=99" in done.output and "Traceback" not in done.output
    assert "1 jobs that depend on a failed job were not started." in done.output
    assert sorted(run["method"] for run in read_runs(tmp_path / "out")) == ["finetune", "retrain"]


@pytest.mark.slow
def test_a_stopped_run_says_so_and_the_same_command_resumes_it(small_npz: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = [*command(small_npz, out, "--local", "--verbose"), "--epochs", "400"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    assert process.stdout is not None
    for line in process.stdout:
        if "epoch 3/400" in line:
            process.send_signal(signal.SIGTERM)
            break
    rest = process.communicate(timeout=120)[0]
    assert process.returncode == 130 and rest.rstrip().endswith("rerun the same command to resume.")
    assert "no active run" in CliRunner().invoke(main, ["status", "--out", str(out)]).output
    assert run(small_npz, out).exit_code == 0
    assert len(read_runs(out)) == 4


@pytest.mark.parametrize(
    ("choice", "option"),
    [({"address": "auto"}, "--address"), ({"workers": 2}, "--workers"), ({"allow_open_cluster": True}, "--allow-open")],
)
def test_what_needs_ray_is_refused(choice: dict, option: str) -> None:
    with pytest.raises(InputError, match=f"leave out {option}.*or --local"):
        Execution(local=True, **choice)
