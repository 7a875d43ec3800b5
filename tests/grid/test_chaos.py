"""Workers, drivers and nodes are killed at random; nothing is lost and nothing done twice."""

from pathlib import Path

import pytest

from tests.grid.chaos import survive


def test_a_study_survives_some_kills(tmp_path: Path) -> None:
    """`survive` compares what landed with an undisturbed run, bit for bit."""
    assert survive(seed=1, num_kills=3, folder=tmp_path).kills.total() == 3


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 12))
def test_a_study_survives_many_kills(seed: int, tmp_path: Path) -> None:
    assert survive(seed, num_kills=10, folder=tmp_path).kills.total() == 10
