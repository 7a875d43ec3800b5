"""Means, intervals and tests over seeds. Values that belong together (method and retrain of one seed) come paired.

Intervals are Student's, not bootstrapped: with three to five seeds a bootstrap resamples too few values and comes
out too narrow.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
ROUNDING = 1e-9  # differences of percentages that are equal but for float64


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (NaN below two values) of n values."""

    mean: float
    sd: float
    n: int

    @property
    def interval(self) -> tuple[float, float]:
        """Both ends of Student's 95 % interval of the mean; NaN below two values."""
        if self.n < 2:
            return math.nan, math.nan
        from scipy.special import stdtrit  # Student's t; who plans a study need not wait for SciPy

        half = float(stdtrit(self.n - 1, (1 + CONFIDENCE) / 2)) * self.sd / math.sqrt(self.n)
        return self.mean - half, self.mean + half


def spread(values: Iterable[float]) -> Spread:
    """The Spread of some numbers, which must not be empty. A NaN or infinity among them makes the mean NaN."""
    array = np.array(list(values), dtype=float)
    array[~np.isfinite(array)] = np.nan
    return Spread(float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else float("nan"), len(array))


def equivalence_p(differences: Sequence[float], margin: float) -> float:
    """p of the two one-sided paired t tests (TOST; Schuirmann 1987): small says |mean difference| < `margin`.

    NaN below two differences or with a NaN among them.
    """
    above = _one_sided_p(differences, -margin, "greater")
    below = _one_sided_p(differences, margin, "less")
    return float(np.maximum(above, below))


def below_zero_p(differences: Sequence[float]) -> float:
    """p of the one-sided paired t test: small says that the mean difference is below 0. NaN as above."""
    return _one_sided_p(differences, 0.0, "less")


def _one_sided_p(values: Sequence[float], bound: float, side: str) -> float:
    array = np.asarray(values, dtype=float)
    if len(array) < 2 or not np.isfinite(array).all():
        return math.nan
    if np.ptp(array) < ROUNDING:
        beyond = array[0] > bound + ROUNDING if side == "greater" else array[0] < bound - ROUNDING
        # No difference at all, as between accuracies of 100 %, is certain. Counts of few images repeat by chance too:
        # then there is no scatter for a t test, and the sign test's p stands in.
        p_beyond = 0.0 if abs(array[0]) < ROUNDING else 0.5 ** len(array)
        return p_beyond if beyond else 1.0
    from scipy.special import stdtr

    t = (array.mean() - bound) / (array.std(ddof=1) / math.sqrt(len(array)))
    return float(stdtr(len(array) - 1, t if side == "less" else -t))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p values (Holm 1979), in the given order. NaN stays NaN and counts as no test."""
    tested = [i for i, p in enumerate(p_values) if not math.isnan(p)]
    adjusted = [math.nan] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(tested, key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(tested) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted
