"""Standard errors from numbers of images against other ways to compute them, and against simulated studies."""

import math

import numpy as np
import pytest

from salun_grid.analysis.counts import paired_auc_se, paired_proportion_se, placements, unpaired_proportion_se
from salun_grid.analysis.roc import auc

RNG = np.random.default_rng


def test_only_disagreements_count() -> None:
    first, second = (
        np.repeat([True, True, False, False], [50, 9, 4, 37]),
        np.repeat([True, False, True, False], [50, 9, 4, 37]),
    )
    b, c, n = 10, 5, 102
    assert paired_proportion_se(first, second) == pytest.approx(100 * math.sqrt(b + c - (b - c) ** 2 / n) / n)
    doubled = paired_proportion_se(np.append(first, [True] * 100), np.append(second, [True] * 100))
    assert doubled == pytest.approx(100 * math.sqrt(b + c - (b - c) ** 2 / 202) / 202)


def test_agreement_on_few_images_is_no_certainty() -> None:
    same = np.ones(54, dtype=bool)
    assert paired_proportion_se(same, same) == pytest.approx(100 * math.sqrt(2) / 56)
    assert unpaired_proportion_se(100.0, 100.0, 54) > 2.0
    assert math.isnan(paired_proportion_se(same[:0], same[:0]))
    assert math.isnan(unpaired_proportion_se(50.0, 50.0, 0))


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_the_paired_error_is_the_scatter_of_simulated_differences(share: float) -> None:
    """Two models that disagree on a share of the images, either way round."""
    rng, n = RNG(0), 400
    differences, errors = [], []
    for _ in range(2000):
        first = rng.random(n) < 0.8
        second = first ^ (rng.random(n) < share)
        differences.append(100 * (first.mean() - second.mean()))
        errors.append(paired_proportion_se(first, second))
    assert np.mean(errors) == pytest.approx(np.std(differences), rel=0.06)


def test_placements_average_to_the_auc() -> None:
    rng = RNG(1)
    members, others = rng.integers(0, 5, 40).astype(float), rng.integers(0, 5, 30).astype(float)
    for part in placements(members, others):
        assert part.mean() == pytest.approx(auc(members, others))
    naive = [[(m > o) + 0.5 * (m == o) for o in others] for m in members]
    assert placements(members, others)[0] == pytest.approx(np.mean(naive, axis=1))
    assert placements(members, others)[1] == pytest.approx(np.mean(naive, axis=0))


def test_the_auc_error_is_the_scatter_of_simulated_differences() -> None:
    """Two models whose scores of one image are correlated, members scoring higher."""
    rng, m, n = RNG(2), 120, 200
    differences, errors = [], []
    for _ in range(1500):
        ranks = []
        shared = rng.normal(0, 1, m + n) + np.repeat([0.5, 0.0], [m, n])
        for _ in range(2):
            scores = shared + rng.normal(0, 0.7, m + n)
            ranks.append(placements(scores[:m], scores[m:]))
        differences.append(100 * (ranks[0][0].mean() - ranks[1][0].mean()))
        errors.append(paired_auc_se(*ranks))
    assert np.mean(errors) == pytest.approx(np.std(differences), rel=0.06)


def test_two_perfect_attacks_still_have_an_error() -> None:
    perfect = placements(np.arange(10.0) + 20, np.arange(20.0))
    assert paired_auc_se(perfect, perfect) == pytest.approx(100 * math.sqrt(2) / 12)
