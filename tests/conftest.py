"""What all tests share: one thread for each process, and a small data set in MedMNIST's layout."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import pytest

from tests.small_data import write_small_npz


@pytest.fixture
def small_npz(tmp_path: Path) -> Path:
    return write_small_npz(tmp_path / "small.npz")
