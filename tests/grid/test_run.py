"""`salun-grid run` as a user types it, on local Ray and on a cluster that is already up."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from salun_grid.analysis.results import read_runs
from salun_grid.grid.cli import main
from salun_grid.grid.plan import make_plan
from salun_grid.grid.specs import Spec
from salun_grid.grid.store import Store
from salun_grid.grid.study import Study, narrowed
from salun_grid.grid.study_file import find_study
from tests.support.processes import grid_command, wait_until
from tests.support.studies import SMALL_SETTINGS

PLAIN = {"PYTHONWARNINGS": "default", "COLUMNS": "200"}


def salun_grid(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(grid_command(*words), capture_output=True, text=True, timeout=300, env=os.environ | PLAIN)


def small_run(npz: Path, out: Path) -> list[object]:
    """16 jobs, four models and their evaluations for two seeds, at one rate without augmentation."""
    axes = ["--forget-rate", "0.1", "--augmentation", "none", "--seed", "0", "--seed", "1"]
    return ["run", "digits", "--dataset", npz, *axes, *SMALL_SETTINGS, "--epochs", 40, "--out", out]


def the_same_study(npz: Path) -> Study:
    axes = {"datasets": (str(npz),), "forget_sets": ("random:0.1",), "augmentations": ("none",)}
    return narrowed(find_study("digits"), axes, ["training.epochs=40", "unlearning.epochs=1", "model.width=4"])


def methods_landed(out: Path) -> list[str]:
    return sorted(run["method"] for run in read_runs(out))


def times_of(out: Path) -> dict[Path, int]:
    """When each file of models and results was written."""
    paths = [*out.glob("models/*/*"), *out.glob("results/*/*.parquet")]
    return {path: path.stat().st_mtime_ns for path in paths if path.is_file()}


ALL = sorted(2 * ["original", "retrain", "retrain-again", "salun"])


@pytest.mark.ray
def test_stopped_killed_failed_repaired_and_run_again(
    small_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One folder, named by a relative path, through all that happens to it; what is done is never done again."""
    monkeypatch.chdir(tmp_path)
    out = Path("runs/out")
    words = small_run(small_npz, out)

    output, status = stopped_after(1, signal.SIGINT, words, out)
    assert status == 130
    assert "Stopped. Finished jobs are kept; rerun the same command to resume." in output
    after_stop = times_of(out)

    _, status = stopped_after(3, signal.SIGKILL, words, out)
    assert status == -signal.SIGKILL
    after_kill = times_of(out)

    victim = unfinished(small_npz, out)
    in_the_way = out / "results" / "predictions" / f"{victim.key}.parquet"
    in_the_way.mkdir(parents=True)
    run = salun_grid(*words)
    assert run.returncode == 1, run.stderr
    assert f"FAILED {victim.label}" in run.stdout
    log = out / "logs" / f"{victim.key}.txt"
    assert "IsADirectoryError" in log.read_text()
    assert str(log) in run.stdout
    in_the_way.rmdir()
    assert len(methods_landed(out)) == 7

    run = salun_grid(*words)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert "1 jobs done" in run.stdout
    assert "Table 1. Forgetting 10%" in run.stdout
    assert f"salun-analysis report {out}" in run.stdout
    assert (out / "figures" / "average_gap.png").stat().st_size > 10_000
    assert methods_landed(out) == ALL
    finished = times_of(out)
    assert len(finished) == 2 * (2 + 2 * 2 + 2) + 2 * (2 + 2 + 2 + 2) + 2 * 4

    again = salun_grid(*words)
    assert again.returncode == 0
    assert "Nothing to do: all 16 jobs of digits are done" in again.stdout
    assert "Table 1. Forgetting 10%" in again.stdout
    assert finished == times_of(out)
    for earlier in (after_stop, after_kill):
        assert earlier.items() <= finished.items()


def stopped_after(num_models: int, how: signal.Signals, words: list[object], out: Path) -> tuple[str, int]:
    """Start the run, stop it once so many models are published; returns what it printed and its exit status."""
    run = subprocess.Popen(grid_command(*words), stdout=subprocess.PIPE, text=True, env=os.environ | PLAIN)
    wait_until(lambda: len(Store(str(out)).published_models()) >= num_models)
    run.send_signal(how)
    output, _ = run.communicate(timeout=60)
    return output, run.returncode


def unfinished(npz: Path, out: Path) -> Spec:
    """The evaluation of a retrain-again that has no row yet."""
    rows = Store(str(out)).published_rows()
    cells = make_plan(the_same_study(npz)).cells
    return next(job for job in cells if job.method == "retrain-again" and job.key not in rows)


@pytest.fixture
def ray_cluster() -> Iterator[str]:
    """Another Ray on this machine, started as a cluster's head is; `ray stop` would stop other people's as well."""
    port = 6390 + os.getpid() % 1000
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", f"--port={port}", "--num-cpus=1"]
    command += ["--include-dashboard=false", "--disable-usage-stats", "--block"]
    environment = os.environ | PLAIN | {"RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0", "RAY_AUTH_MODE": "disabled"}
    head = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert any("Ray runtime started" in line for line in head.stdout)
    yield f"127.0.0.1:{port}"
    head.terminate()
    head.communicate(timeout=60)


def test_a_cluster_that_is_already_up(ray_cluster: str, small_npz: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    refused = salun_grid(*small_run(small_npz, out), "--address", ray_cluster)
    assert (refused.returncode, out.exists()) == (2, False)
    assert f"the Ray cluster at {ray_cluster} requires no token" in refused.stderr
    run = salun_grid(*small_run(small_npz, out), "--address", ray_cluster, "--allow-open-cluster")
    assert run.returncode == 0, run.stderr
    assert methods_landed(out) == ALL


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1"),
        ("nowhere", "nowhere is not the address of a Ray cluster; give HOST:PORT"),
        ("127.0.0.1", "127.0.0.1 is not the address of a Ray cluster; give HOST:PORT"),
    ],
)
def test_an_address_where_no_cluster_is(address: str, problem: str, small_npz: Path, tmp_path: Path) -> None:
    words = [*map(str, small_run(small_npz, tmp_path / "out")), "--address", address]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert problem in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()
