"""Quality of a model on unseen images: calibration and accuracy by class.

Arguments are `logits` (N, K) and `labels` int (N,).
"""

import numpy as np
from scipy.special import softmax

from salun_grid.analysis.roc import auc
from salun_grid.analysis.scores import negative_loss
from salun_grid.records.errors import UndefinedError


def negative_log_likelihood(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean cross-entropy in nats."""
    return float(-negative_loss(logits, labels).mean())


def calibration_error(logits: np.ndarray, labels: np.ndarray, num_bins: int = 15) -> float:
    """ECE in percentage points (Guo et al. 2017): |accuracy − confidence| over equal bins of confidence, weighted.

    Bins are (i / B, (i + 1) / B].
    """
    p = softmax(logits.astype(np.float64), axis=1)
    sure, right = p.max(axis=1), logits.argmax(axis=1) == labels
    bins = np.clip(np.ceil(sure * num_bins).astype(int) - 1, 0, num_bins - 1)
    gap = np.bincount(bins, weights=right - sure, minlength=num_bins)
    return 100.0 * float(np.abs(gap).sum() / len(labels))


def class_accuracy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Percent right of the images of each class, float64 (K,); NaN for a class without images."""
    num_classes = logits.shape[1]
    counts = np.bincount(labels, minlength=num_classes)
    right = np.bincount(labels[logits.argmax(axis=1) == labels], minlength=num_classes)
    return np.where(counts, 100.0 * right / np.maximum(counts, 1), np.nan)


def medmnist_auc(logits: np.ndarray, labels: np.ndarray) -> float:
    """MedMNIST's own metric (Yang et al. 2023): one-vs-rest AUC of the softmax, averaged over the classes.

    Classes of no image or of every image are left out; MedMNIST's evaluator fails on them. Raises UndefinedError if
    none is left.
    """
    p = softmax(logits.astype(np.float64), axis=1)
    present = [k for k in range(p.shape[1]) if 0 < np.count_nonzero(labels == k) < len(labels)]
    if not present:
        raise UndefinedError("needs test images of two classes")
    return float(np.mean([auc(p[labels == k, k], p[labels != k, k]) for k in present]))
