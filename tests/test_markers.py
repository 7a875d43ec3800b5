"""The markers leave out what they say: Ray starts in no test without its marker, and fixtures bring theirs."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import FIXTURE_MARKERS, RAY_REFUSES, REFUSAL, pytest_collection_modifyitems

START = "import ray, sys; ray.init('local', num_cpus=1, include_dashboard=False, _temp_dir=sys.argv[1])"


def test_ray_starts_in_no_test_without_its_marker() -> None:
    """In a process of the test's as in the test's own; Ray's sockets need a short path."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        done = subprocess.run([sys.executable, "-c", START, folder], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and REFUSAL in done.stderr.splitlines()[-1], done.stderr


@pytest.mark.ray
def test_nothing_refuses_in_a_test_with_the_marker() -> None:
    assert RAY_REFUSES not in os.environ


def markers_given(fixtures: tuple[str, ...] = (), reason: str = "") -> list[str]:
    """The markers that collection adds to a test with these fixtures and a `skipif` for this reason."""
    added: list[str] = []
    marks = [pytest.mark.skipif(True, reason=reason).mark]
    item = SimpleNamespace(fixturenames=fixtures, iter_markers=lambda name: marks, add_marker=added.append)
    pytest_collection_modifyitems([item])
    return added


@pytest.mark.parametrize("fixture", FIXTURE_MARKERS)
def test_a_fixture_brings_its_marker(fixture: str) -> None:
    assert markers_given(("tmp_path", fixture)) == [FIXTURE_MARKERS[fixture]]
    assert markers_given(("tmp_path",)) == []
    files = Path(__file__).parent.rglob("test_*.py")
    assert any(f"\ndef {fixture}(" in file.read_text(encoding="utf-8") for file in files), "no such fixture"


def test_a_test_that_is_skipped_for_want_of_a_gpu_has_the_marker() -> None:
    assert markers_given(reason="needs a GPU") == ["gpu"]
    assert markers_given(reason="a machine without CUDA is refused") == []
