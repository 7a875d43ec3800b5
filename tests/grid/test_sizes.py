"""Jobs of different sizes share a cluster; none holds what another waits for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from salun_grid.analysis.results import read_runs


@pytest.mark.ray
def test_one_two_and_three_workers_on_three_cpus(small_npz: Path, tmp_path: Path) -> None:
    """Also the group that needs every CPU comes to its turn; a deadlock would run into the timeout."""
    command = [sys.executable, "-m", "tests.support.three_cpus", str(small_npz), str(tmp_path / "out")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=400, env=os.environ)
    assert "done 12 of 12, failed 0" in run.stdout, run.stdout + run.stderr
    by_job = {(row["method"], row["seed"]): row["num_workers"] for row in read_runs(tmp_path / "out")}
    assert by_job == {
        ("retrain", 0): 2,
        ("retrain", 1): 1,
        ("original", 0): 3,
        ("original", 1): 2,
        ("salun", 0): 1,
        ("salun", 1): 1,
    }
