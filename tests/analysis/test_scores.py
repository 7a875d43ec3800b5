"""Membership scores and ROC against plain loops over softmax and thresholds."""

import math

import numpy as np
import pytest

from salun_grid.analysis.roc import auc, roc_curve, tpr_at_fpr
from salun_grid.analysis.scores import SCORES, log_odds
from salun_grid.records.errors import UndefinedError
from tests.support.scores import some_logits

Vector = list[float]


def softmax(row: Vector) -> Vector:
    exp = [math.exp(z) for z in row]
    return [e / sum(exp) for e in exp]


# Each as its paper writes it, for one image: probabilities, logits, label. Higher says member.
NAIVE = {
    "loss": lambda p, z, y: math.log(p[y]),
    "confidence": lambda p, z, y: math.log(max(p)),
    "entropy": lambda p, z, y: sum(q * math.log(q) for q in p),
    "modified_entropy": lambda p, z, y: (
        (1 - p[y]) * math.log(p[y]) + sum(q * math.log(1 - q) for i, q in enumerate(p) if i != y)
    ),
    "margin": lambda p, z, y: z[y] - max(z[:y] + z[y + 1 :]),
}


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("k", [2, 3, 9])
def test_each_score_equals_its_formula(name: str, k: int) -> None:
    logits, labels = some_logits(seed=k, k=k)
    expected = [
        NAIVE[name](softmax(row), row, y) for row, y in zip(logits.astype(float).tolist(), labels.tolist(), strict=True)
    ]
    np.testing.assert_allclose(SCORES[name](logits, labels), expected, rtol=1e-9, atol=1e-12)


def test_log_odds_is_the_logit_of_the_probability() -> None:
    logits, labels = some_logits(seed=4)
    p = [softmax(row)[y] for row, y in zip(logits.astype(float).tolist(), labels.tolist(), strict=True)]
    np.testing.assert_allclose(log_odds(logits, labels), [math.log(q / (1 - q)) for q in p], rtol=1e-9)


@pytest.mark.parametrize("name", SCORES)
def test_scores_stay_finite_where_probabilities_do_not_differ_from_one(name: str) -> None:
    logits = np.array([[900.0, 0.0, -900.0]] * 3, dtype=np.float32)
    assert np.isfinite(SCORES[name](logits, np.array([0, 1, 2]))).all()


@pytest.mark.parametrize("name", ["loss", "margin"])
def test_the_surest_images_do_not_tie(name: str) -> None:
    logits = np.array([[40.0, 0.0], [50.0, 0.0], [60.0, 0.0]], dtype=np.float32)
    assert (np.diff(SCORES[name](logits, np.zeros(3, dtype=int))) > 0).all()


@pytest.mark.parametrize("name", SCORES)
def test_scores_leave_their_arguments_as_they_were(name: str) -> None:
    logits, labels = some_logits(seed=1)
    before = logits.copy(), labels.copy()
    SCORES[name](logits, labels)
    np.testing.assert_array_equal(logits, before[0])
    np.testing.assert_array_equal(labels, before[1])


# --- ROC --------------------------------------------------------------------------------------------------


def rounded_scores(seed: int, members: int, non_members: int) -> tuple[np.ndarray, np.ndarray]:
    """With many ties."""
    rng = np.random.default_rng(seed)
    return rng.normal(0.5, 1, members).round(1), rng.normal(0, 1, non_members).round(1)


def naive_auc(members: Vector, others: Vector) -> float:
    wins = sum((m > o) + 0.5 * (m == o) for m in members for o in others)
    return wins / (len(members) * len(others))


def naive_tpr(members: Vector, others: Vector, fpr: float) -> float:
    best = 0.0
    for threshold in [*members, *others]:
        false_alarms = sum(o >= threshold for o in others) / len(others)
        if false_alarms <= fpr:
            best = max(best, sum(m >= threshold for m in members) / len(members))
    return 100 * best


@pytest.mark.parametrize("seed", range(6))
def test_auc_is_the_share_of_pairs_won(seed: int) -> None:
    members, others = rounded_scores(seed, 37, 51)
    assert auc(members, others) == pytest.approx(naive_auc(members.tolist(), others.tolist()), abs=1e-12)


@pytest.mark.parametrize("fpr", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("num", [100, 137, 250])
def test_tpr_is_that_of_the_best_allowed_threshold(num: int, fpr: float) -> None:
    members, others = rounded_scores(num, 60, num)
    assert tpr_at_fpr(members, others, fpr) == pytest.approx(naive_tpr(members.tolist(), others.tolist(), fpr))


def test_tpr_does_not_interpolate_between_thresholds() -> None:
    """All non-members tie: to catch any member is to raise every alarm."""
    assert tpr_at_fpr(np.zeros(50), np.zeros(100), 0.5) == 0.0


@pytest.mark.parametrize(("fpr", "needed"), [(0.01, 100), (0.001, 1000)])
def test_too_few_non_members_resolve_no_low_rate(fpr: float, needed: int) -> None:
    members = np.linspace(0, 1, 20)
    assert tpr_at_fpr(members, np.linspace(-1, 0.5, needed), fpr) >= 0
    with pytest.raises(UndefinedError, match=f"needs {needed:,} non-members, there are {needed - 1:,}"):
        tpr_at_fpr(members, np.linspace(-1, 0.5, needed - 1), fpr)


def test_the_curve_goes_from_corner_to_corner_and_its_area_is_the_auc() -> None:
    members, others = rounded_scores(3, 40, 60)
    fpr, tpr = roc_curve(members, others)
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert (np.diff(fpr) >= 0).all() and (np.diff(tpr) >= 0).all()
    assert np.trapezoid(tpr, fpr) == pytest.approx(auc(members, others))
