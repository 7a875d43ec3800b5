"""Divergences between the outputs of two models on the same images. Arguments are logits (N, K)."""

import numpy as np
from scipy.special import log_softmax
from scipy.stats import ks_2samp

from salun_grid.analysis.metrics import Predictions, remaining_accuracy, testing_accuracy, unlearning_accuracy
from salun_grid.analysis.scores import log_odds


def kl_divergence(model: np.ndarray, retrain: np.ndarray) -> float:
    """Mean over images of KL(retrain ‖ model) in nats (Kullback & Leibler 1951; for unlearning, Golatkar et al. 2020).

    The expected extra nats of coding the retrain's outputs with the model's probabilities.
    """
    log_p, log_q = _log_p(retrain), _log_p(model)
    return float((np.exp(log_p) * (log_p - log_q)).sum(axis=1).mean())


def js_divergence(model: np.ndarray, retrain: np.ndarray) -> float:
    """Mean over images of the Jensen–Shannon divergence in nats, 0 to log 2 (Lin 1991; Chundawat et al. 2023)."""
    log_p, log_q = _log_p(retrain), _log_p(model)
    log_m = np.logaddexp(log_p, log_q) - np.log(2)
    halves = [(np.exp(log_x) * (log_x - log_m)).sum(axis=1) for log_x in (log_p, log_q)]
    return max(0.0, float(np.mean(halves[0] + halves[1]) / 2))  # rounding may leave −1e−18


def agreement(model: np.ndarray, retrain: np.ndarray) -> float:
    """Percent of images for which both predict the same class."""
    return 100.0 * float(np.mean(model.argmax(axis=1) == retrain.argmax(axis=1)))


def forgetting_quality(model: np.ndarray, retrain: np.ndarray, labels: np.ndarray) -> float:
    """log10 p that both models' confidences on D_f come from one distribution (Maini et al. 2024, TOFU).

    Two-sample Kolmogorov–Smirnov test, asymptotic, on logit-scaled confidences instead of TOFU's truth ratio, which
    is for texts. 0 is best. p falls with the number of images: compare only equal |D_f|, or use `ks_distance`.
    """
    p = ks_2samp(log_odds(model, labels), log_odds(retrain, labels), method="asymp").pvalue
    return float(np.log10(max(p, np.finfo(np.float64).tiny)))


def ks_distance(model: np.ndarray, retrain: np.ndarray, labels: np.ndarray) -> float:
    """Largest distance, 0 to 1, between the two distributions of `forgetting_quality`, whatever |D_f|."""
    return float(ks_2samp(log_odds(model, labels), log_odds(retrain, labels), method="asymp").statistic)


def ks_p(model: np.ndarray, retrain: np.ndarray, labels: np.ndarray) -> float:
    """p, 0 to 1, that a distance of at least `ks_distance` comes from one distribution; exact up to 10,000 images.

    The test assumes independent samples, but both models score the same images. Images that are hard for one are hard
    for the other, so p is too large rather than too small.
    """
    return float(ks_2samp(log_odds(model, labels), log_odds(retrain, labels)).pvalue)


def tug_of_war(model: Predictions, retrain: Predictions) -> float:
    """ToW (Zhao et al. 2024): the product of 1 − |accuracy gap| over D_f, D_r and test; 1 is the retrain itself."""
    product = 1.0
    for measure in (unlearning_accuracy, remaining_accuracy, testing_accuracy):
        product *= 1 - abs(measure(model) - measure(retrain)) / 100
    return product


def _log_p(logits: np.ndarray) -> np.ndarray:
    return log_softmax(logits.astype(np.float64), axis=1)
