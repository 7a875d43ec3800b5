"""Membership scores of images from one model's logits; a higher score suggests a member.

Each is a pure function of `logits` (N, K), any float, and `labels` int (N,); returns float64 (N,). None saturates
at a probability of 0 or 1, where the most confident images would tie.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import log_softmax

Score = Callable[[np.ndarray, np.ndarray], np.ndarray]
TINY = np.finfo(np.float64).tiny


def log_odds(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Logit-scaled confidence log(p_y / (1 − p_y)) of the true class y (Carlini et al. 2022, section VI).

    As a score it orders images as the loss and p_y do, since all three rise with p_y; LiRA needs its shape.
    """
    rows = np.arange(len(labels))
    others = logits.astype(np.float64)
    own = others[rows, labels]
    others[rows, labels] = -np.inf
    top = others.max(axis=1)
    return own - top - np.log(np.exp(others - top[:, None]).sum(axis=1))


def negative_loss(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """log p_y, minus the cross-entropy in nats (Yeom et al. 2018)."""
    return -np.logaddexp(0.0, -log_odds(logits, labels))


def confidence(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """log max_i p_i: the confidence of the predicted class (Salem et al. 2019)."""
    return negative_loss(logits, logits.argmax(axis=1))


def negative_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Σ_i p_i log p_i, minus the entropy in nats (Shokri et al. 2017)."""
    log_p = log_softmax(logits.astype(np.float64), axis=1)
    return (np.exp(log_p) * log_p).sum(axis=1)


def negative_modified_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(1 − p_y) log p_y + Σ_{i≠y} p_i log(1 − p_i): entropy that uses the label (Song & Mittal 2021, eq. 8)."""
    rows, top = np.arange(len(labels)), logits.argmax(axis=1)
    exp = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    total = exp.sum(axis=1, keepdims=True)
    rest = total - exp
    exp_without_top = exp.copy()
    exp_without_top[rows, top] = 0.0
    rest[rows, top] = exp_without_top.sum(axis=1)  # total − exp would cancel there
    terms = exp / total * np.log(np.maximum(rest / total, TINY))
    own = rest[rows, labels] / total[:, 0] * negative_loss(logits, labels)
    terms[rows, labels] = 0.0
    return own + terms.sum(axis=1)


def margin(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """z_y − max_{i≠y} z_i, the hinge score (Carlini et al. 2022, appendix)."""
    rows = np.arange(len(labels))
    others = logits.astype(np.float64)
    own = others[rows, labels]
    others[rows, labels] = -np.inf
    return own - others.max(axis=1)


SCORES: dict[str, Score] = {
    "loss": negative_loss,
    "confidence": confidence,
    "entropy": negative_entropy,
    "modified_entropy": negative_modified_entropy,
    "margin": margin,
}
