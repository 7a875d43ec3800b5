"""How well a score separates members from non-members: AUC, and TPR at low FPR."""

import numpy as np
from sklearn.metrics import roc_curve as sklearn_roc_curve

from salun_grid.records.errors import UndefinedError


def roc_curve(members: np.ndarray, non_members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False and true positive rates (fractions) at each threshold, from (0, 0) to (1, 1); no interpolation.

    `members` (M,) and `non_members` (N,) are scores; a score that reaches the threshold is called a member.
    """
    scores = np.concatenate([members, non_members])
    is_member = np.repeat([1, 0], [len(members), len(non_members)])
    fpr, tpr, _ = sklearn_roc_curve(is_member, scores, drop_intermediate=False)
    return fpr, tpr


def auc(members: np.ndarray, non_members: np.ndarray) -> float:
    """Probability that a member scores above a non-member, ties counted half; 0.5 is chance (Mann & Whitney 1947)."""
    below, not_above = ranks_among(members, non_members)
    return float((below.mean() + not_above.mean()) / (2 * len(non_members)))


def ranks_among(values: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each value (V,) the number of `others` below it, and the number not above it; int64 (V,)."""
    ascending = np.sort(others)
    return np.searchsorted(ascending, values, side="left"), np.searchsorted(ascending, values, side="right")


def tpr_at_fpr(members: np.ndarray, non_members: np.ndarray, fpr: float) -> float:
    """TPR in percent at the lowest threshold with an FPR of at most `fpr` (a fraction below 1).

    The exact step function, as Carlini et al. (2022) ask for. Raises UndefinedError below 1 / `fpr` non-members: no
    threshold can then have a false positive and stay below the rate.
    """
    if len(non_members) * fpr < 1:
        raise UndefinedError(f"needs {1 / fpr:,.0f} non-members, there are {len(non_members):,}")
    allowed = int(len(non_members) * fpr + 1e-9)
    # The threshold lies just above the first non-member that would exceed the rate.
    first_too_many = np.sort(non_members)[-1 - allowed]
    return 100.0 * float(np.mean(members > first_too_many))


def tpr_under_null(num_members: int, num_non_members: int, fpr: float) -> tuple[float, float]:
    """Mean and 95 % quantile of `tpr_at_fpr`, in percent, where scores tell nothing.

    The threshold is the k-th highest of the non-members, so the members above it follow a beta-binomial distribution.
    Raises UndefinedError as `tpr_at_fpr` does.
    """
    if num_non_members * fpr < 1:
        raise UndefinedError(f"needs {1 / fpr:,.0f} non-members, there are {num_non_members:,}")
    from scipy.stats import betabinom

    k = int(num_non_members * fpr + 1e-9) + 1
    null = betabinom(num_members, k, num_non_members + 1 - k)
    return 100.0 * float(null.mean()) / num_members, 100.0 * float(null.ppf(0.95)) / num_members
