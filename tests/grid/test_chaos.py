"""Workers, drivers and nodes are killed at random; nothing is lost and nothing done twice."""

import os
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.ray


def survive(seed: int, kills: int) -> None:
    """In a process of its own, which compares what landed with an undisturbed run, bit for bit."""
    command = [sys.executable, "-m", "tests.support.chaos", "--seeds", str(seed), "--kills", str(kills)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=1200, env=os.environ)
    assert run.returncode == 0, run.stderr
    assert "16 rows landed, 0 lost, 0 finished jobs done twice" in run.stdout
    killed = run.stdout.partition("killed ")[2].partition(";")[0]
    assert sum(map(int, re.findall(r"\d+", killed))) == kills


def test_a_study_survives_some_kills() -> None:
    survive(seed=1, kills=3)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_a_study_survives_many_kills(seed: int) -> None:
    survive(seed, kills=10)
