"""Distances to the retrain, calibration and class-wise quality against loops and libraries' own evaluators."""

import itertools
import math

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax
from scipy.stats import entropy, kstwo
from sklearn.metrics import roc_auc_score

from salun_grid.analysis.divergence import (
    agreement,
    forgetting_quality,
    js_divergence,
    kl_divergence,
    ks_distance,
    ks_p,
    tug_of_war,
)
from salun_grid.analysis.quality import calibration_error, class_accuracy, medmnist_auc, negative_log_likelihood
from salun_grid.analysis.scores import log_odds
from salun_grid.records.errors import UndefinedError
from tests.support.folders import make_predictions
from tests.support.scores import some_logits


@pytest.mark.parametrize("k", [2, 5])
def test_kl_and_js_equal_scipys_image_by_image(k: int) -> None:
    (model, _), (retrain, _) = some_logits(1, k=k), some_logits(2, k=k)
    pairs = list(zip(softmax(model.astype(float), axis=1), softmax(retrain.astype(float), axis=1), strict=True))
    assert kl_divergence(model, retrain) == pytest.approx(np.mean([entropy(r, m) for m, r in pairs]))
    assert js_divergence(model, retrain) == pytest.approx(np.mean([jensenshannon(r, m) ** 2 for m, r in pairs]))


def test_divergences_of_a_model_to_itself_are_nought_and_js_knows_its_bound() -> None:
    logits, _ = some_logits(3)
    assert kl_divergence(logits, logits) == 0.0
    assert js_divergence(logits, logits) == pytest.approx(0.0, abs=1e-15)
    assert agreement(logits, logits) == 100.0
    sure = np.array([[1e4, 0.0]], dtype=np.float32)
    assert js_divergence(sure, sure[:, ::-1]) == pytest.approx(math.log(2))
    assert math.isfinite(kl_divergence(sure, sure[:, ::-1]))


def test_kl_is_the_retrains_expectation() -> None:
    """The retrain is sure of class 0, the model undecided: log 2; the other way round it would be far more."""
    sure, undecided = np.array([[50.0, 0.0]]), np.array([[0.0, 0.0]])
    assert kl_divergence(undecided, sure) == pytest.approx(math.log(2))
    assert kl_divergence(sure, undecided) > 10


def test_agreement_counts_equal_classes() -> None:
    eye = np.eye(3)
    assert agreement(eye[[0, 1, 2, 2]], eye[[0, 1, 1, 0]]) == 50.0


def naive_ks(a: list[float], b: list[float]) -> float:
    return max(abs(sum(x <= v for x in a) / len(a) - sum(x <= v for x in b) / len(b)) for v in a + b)


@pytest.mark.parametrize("seed", range(4))
def test_ks_is_the_largest_distance_of_the_distributions(seed: int) -> None:
    (model, labels), (retrain, _) = some_logits(seed, n=40), some_logits(seed + 10, n=40, scale=1.0)
    distance = naive_ks(log_odds(model, labels).tolist(), log_odds(retrain, labels).tolist())
    assert ks_distance(model, retrain, labels) == pytest.approx(distance)
    # SciPy's asymptotic p of two samples of 40: Kolmogorov's distribution at 40 · 40 / 80 degrees.
    assert forgetting_quality(model, retrain, labels) == pytest.approx(np.log10(kstwo.sf(distance, 20)), abs=1e-6)


def test_ks_p_is_the_fraction_of_all_splits_that_are_as_far_apart() -> None:
    """5 scores of each model: 252 ways to split 10 scores in two halves."""
    (model, labels), (retrain, _) = some_logits(1, n=5), some_logits(12, n=5, scale=1.0)
    scores = [*log_odds(model, labels).tolist(), *log_odds(retrain, labels).tolist()]
    splits = [set(half) for half in itertools.combinations(range(10), 5)]
    apart = [naive_ks([scores[i] for i in half], [scores[i] for i in range(10) if i not in half]) for half in splits]
    expected = np.mean([distance >= ks_distance(model, retrain, labels) - 1e-12 for distance in apart])
    assert 0 < expected < 1
    assert ks_p(model, retrain, labels) == pytest.approx(expected)


def test_ks_p_is_conservative_where_both_models_find_the_same_images_hard() -> None:
    rng, labels, ps = np.random.default_rng(0), np.zeros(60, dtype=int), []
    for _ in range(300):
        hard = rng.normal(0, 2, 60)
        pair = [np.column_stack([hard + rng.normal(0, 1, 60), np.zeros(60)]) for _ in range(2)]
        ps.append(ks_p(*pair, labels))
    assert np.mean(np.array(ps) <= 0.05) <= 0.05


def test_forgetting_quality_has_a_floor_instead_of_infinity() -> None:
    labels = np.zeros(20_000, dtype=int)
    high, low = np.full((20_000, 2), [9.0, 0.0]), np.full((20_000, 2), [0.0, 9.0])
    assert -400 < forgetting_quality(high, low, labels) < -300
    assert forgetting_quality(high, high, labels) == 0.0


def test_tug_of_war_multiplies_what_the_three_accuracies_share() -> None:
    model, retrain = (make_predictions(seed, sizes=(60, 10, 30)) for seed in (1, 2))

    def accuracies(p) -> list[float]:
        right = p.logits["train"].argmax(1) == p.labels["train"]
        test = p.logits["test"].argmax(1) == p.labels["test"]
        return [right[p.forgotten].mean(), right[~p.forgotten].mean(), test.mean()]

    expected = math.prod(1 - abs(a - b) for a, b in zip(accuracies(model), accuracies(retrain), strict=True))
    assert expected < 1
    assert tug_of_war(model, retrain) == pytest.approx(expected)
    assert tug_of_war(model, model) == 1.0


# --- quality ----------------------------------------------------------------------------------------------


def naive_ece(logits: np.ndarray, labels: np.ndarray, num_bins: int) -> float:
    p = softmax(logits.astype(float), axis=1)
    total = 0.0
    for b in range(num_bins):
        inside = [i for i in range(len(p)) if b / num_bins < max(p[i]) <= (b + 1) / num_bins]
        if inside:
            accuracy = sum(int(p[i].argmax()) == labels[i] for i in inside) / len(inside)
            sure = sum(max(p[i]) for i in inside) / len(inside)
            total += len(inside) / len(p) * abs(accuracy - sure)
    return 100 * total


@pytest.mark.parametrize("num_bins", [1, 10, 15])
def test_calibration_error_equals_a_loop_over_bins(num_bins: int) -> None:
    logits, labels = some_logits(6, n=200, scale=1.5)
    assert calibration_error(logits, labels, num_bins) == pytest.approx(naive_ece(logits, labels, num_bins))


def test_a_model_that_is_sure_and_right_is_calibrated() -> None:
    logits = 1e3 * np.eye(4, dtype=np.float32)
    assert calibration_error(logits, np.arange(4)) == pytest.approx(0.0)
    assert calibration_error(logits, np.array([1, 2, 3, 0])) == pytest.approx(100.0)


def test_nll_is_the_mean_cross_entropy() -> None:
    logits, labels = some_logits(7)
    p = softmax(logits.astype(float), axis=1)
    assert negative_log_likelihood(logits, labels) == pytest.approx(
        -np.mean([math.log(q[y]) for q, y in zip(p, labels, strict=True)])
    )


def test_class_accuracy_counts_each_class_by_itself() -> None:
    eye = np.eye(4)
    found = class_accuracy(eye[[0, 0, 1, 2, 2, 2]], np.array([0, 1, 1, 2, 2, 0]))
    np.testing.assert_array_equal(found, [50.0, 50.0, 100.0, np.nan])


@pytest.mark.parametrize("k", [2, 4])
def test_auc_is_medmnists(k: int) -> None:
    """As MedMNIST's evaluator has it: binary takes the last column, else one class after the other."""
    logits, labels = some_logits(8, n=80, k=k)
    p = softmax(logits.astype(float), axis=1)
    expected = (
        roc_auc_score(labels, p[:, -1])
        if k == 2
        else sum(roc_auc_score((labels == i).astype(float), p[:, i]) for i in range(k)) / k
    )
    assert medmnist_auc(logits, labels) == pytest.approx(expected)


def test_auc_leaves_out_absent_classes_and_needs_two() -> None:
    logits, _ = some_logits(9, n=20, k=3)
    labels = np.arange(20) % 2
    p = softmax(logits.astype(float), axis=1)
    expected = np.mean([roc_auc_score(labels == i, p[:, i]) for i in (0, 1)])
    assert medmnist_auc(logits, labels) == pytest.approx(expected)
    with pytest.raises(UndefinedError, match="two classes"):
        medmnist_auc(logits, np.zeros(20, dtype=int))
