"""`salun-grid run` as a user types it, on local Ray and on a cluster that is already up."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.results import read_runs
from grid.store import Store
from tests.grid.studies import SMALL_SETTINGS

PLAIN = {"PYTHONWARNINGS": "default", "COLUMNS": "200"}


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "grid", *map(str, words)]


def salun_grid(*words: object, **env: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | PLAIN | env
    return subprocess.run(command(*words), capture_output=True, text=True, timeout=300, env=environment)


def small_run(npz: Path, out: Path) -> list[object]:
    """12 jobs: 2 originals, 6 retrains of two kinds… on one data set, rate and augmentation, two seeds."""
    axes = ["--forget-rate", "0.1", "--augmentation", "none", "--seed", "0", "--seed", "1"]
    return ["run", "demo", "--dataset", npz, *axes, *SMALL_SETTINGS, "--out", out]


def methods_landed(out: Path) -> list[str]:
    return sorted(run["method"] for run in read_runs(out))


ALL = sorted(2 * ["original", "retrain", "retrain-again", "salun"])


def test_run_then_again(small_npz: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = salun_grid(*small_run(small_npz, out))
    assert first.returncode == 0, first.stderr
    assert "Table 1. Forget rate 10%" in first.stdout
    assert "10 jobs done" in first.stdout
    assert f"salun-analysis report {out}" in first.stdout
    assert (out / "figures" / "average_gap.png").stat().st_size > 10_000
    assert methods_landed(out) == ALL
    assert first.stderr == ""

    files = {path: path.stat().st_mtime_ns for path in out.rglob("*") if "figures" not in path.parts and path.is_file()}
    again = salun_grid(*small_run(small_npz, out))
    assert again.returncode == 0
    assert "Nothing to do: all 10 jobs of demo are done" in again.stdout
    assert "Table 1. Forget rate 10%" in again.stdout
    assert files == {
        path: path.stat().st_mtime_ns for path in out.rglob("*") if "figures" not in path.parts and path.is_file()
    }


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_run_goes_on(how: signal.Signals, small_npz: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    store = Store(str(out))
    run = subprocess.Popen(
        command(*small_run(small_npz, out)), stdout=subprocess.PIPE, text=True, env=os.environ | PLAIN
    )
    deadline = time.monotonic() + 120
    while not store.published_models() and time.monotonic() < deadline:
        time.sleep(0.1)
    run.send_signal(how)
    output, _ = run.communicate(timeout=60)
    models = {path: path.stat().st_mtime_ns for path in out.glob("models/*/manifest.json")}
    assert models
    if how == signal.SIGINT:
        assert run.returncode == 130
        assert "the same command goes on from there" in output
    second = salun_grid(*small_run(small_npz, out))
    assert second.returncode == 0, second.stderr
    assert methods_landed(out) == ALL
    assert models == {path: path.stat().st_mtime_ns for path in models}


def test_a_failed_job_is_told_and_the_rest_completes(small_npz: Path, tmp_path: Path) -> None:
    """The retrain-again of seed 0 cannot publish: a folder stands where its row should go."""
    out = tmp_path / "out"
    from grid.plan import make_plan
    from tests.grid.studies import small_study

    words = small_run(small_npz, out)
    plan = make_plan(small_study(small_npz, seeds=(0, 1)))
    victim = next(job for job in plan.jobs.values() if job.method == "retrain-again")
    Store(str(out)).create()
    (out / "results" / "epochs" / f"{victim.model_key}.parquet").mkdir(parents=True)
    run = salun_grid(*words)
    assert run.returncode == 1
    assert f"FAILED {victim.label}" in run.stdout
    log = out / "logs" / f"{victim.key}.txt"
    assert "IsADirectoryError" in log.read_text()
    assert str(log) in run.stdout
    assert len(methods_landed(out)) == 7
    (out / "results" / "epochs" / f"{victim.model_key}.parquet").rmdir()
    assert salun_grid(*words).returncode == 0
    assert methods_landed(out) == ALL


@pytest.fixture
def cluster() -> Iterator[str]:
    """Another Ray on this machine, started as a cluster's head is."""
    ray = [sys.executable, "-m", "ray.scripts.scripts"]
    port = 6390 + os.getpid() % 1000
    start = [*ray, "start", "--head", f"--port={port}", "--num-cpus=1", "--include-dashboard=false"]
    environment = os.environ | PLAIN | {"RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    subprocess.run([*start, "--disable-usage-stats"], check=True, capture_output=True, env=environment, timeout=120)
    yield f"127.0.0.1:{port}"
    subprocess.run([*ray, "stop", "--force"], check=True, capture_output=True, env=environment, timeout=120)


def test_a_cluster_that_is_already_up(cluster: str, small_npz: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = salun_grid(*small_run(small_npz, out), "--address", cluster)
    assert run.returncode == 0, run.stderr
    assert methods_landed(out) == ALL


def test_an_address_where_no_cluster_is(small_npz: Path, tmp_path: Path) -> None:
    run = salun_grid(*small_run(small_npz, tmp_path / "out"), "--address", "127.0.0.1:1")
    assert run.returncode == 2
    assert "no Ray cluster answers at 127.0.0.1:1" in run.stderr
    assert "Traceback" not in run.stderr
