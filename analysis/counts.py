"""Standard errors of differences between two models that follow from the number of images alone, in percentage points.

Differences over seeds can agree by chance, above all with few images: their scatter is then 0, but the uncertainty is
not. These errors are a lower bound for it.
"""

import math

import numpy as np

from salun_grid.analysis.roc import ranks_among


def paired_proportion_se(first: np.ndarray, second: np.ndarray) -> float:
    """Standard error of the difference of two accuracies on the same images (bool, (N,)).

    Only images on which the two models disagree count, as in McNemar's test; one more of each kind keeps the error
    above 0 (Bonett & Price 2012). NaN without images.
    """
    n = len(first)
    if not n:
        return math.nan
    only_first, only_second = int((first & ~second).sum()) + 1, int((second & ~first).sum()) + 1
    total = n + 2
    difference = (only_first - only_second) / total
    return 100 * math.sqrt(((only_first + only_second) / total - difference**2) / total)


def unpaired_proportion_se(first: float, second: float, n: int) -> float:
    """Standard error of the difference of two percentages of `n` images each, taken as independent.

    One more image of each kind keeps the error above 0 (Agresti & Caffo 2000). Two models agree on most images, so
    this is larger than the paired error. NaN without images or for a NaN.
    """
    if not n:
        return math.nan
    shares = [(share / 100 * n + 1) / (n + 2) for share in (first, second)]
    return 100 * math.sqrt(sum(share * (1 - share) for share in shares) / (n + 2))


def placements(members: np.ndarray, non_members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each member the share of non-members below it, and for each non-member that of members above it.

    Ties count half. Either mean is the AUC (DeLong et al. 1988).
    """
    return _share_below(members, non_members), 1 - _share_below(non_members, members)


def _share_below(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    below, not_above = ranks_among(values, others)
    return (below + not_above) / (2 * len(others))


def paired_auc_se(first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]) -> float:
    """Standard error of the difference of two AUCs × 100 from the `placements` of the same images under two models.

    DeLong et al. (1988), but not below the error of one disagreement of each kind, which is 0 where both AUCs are 1.
    """
    pairs = [one - other for one, other in zip(first, second, strict=True) if len(one) > 1]
    variance = sum(float(difference.var(ddof=1)) / len(difference) for difference in pairs)
    least = math.sqrt(2) / (min(len(part) for part in first) + 2)
    return 100 * max(math.sqrt(variance), least)
