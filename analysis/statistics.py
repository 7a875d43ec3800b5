"""Means, intervals, tests and power over seeds, as pure functions. Values of one seed come paired.

Intervals are Student's, not bootstrapped: with three to five seeds a bootstrap resamples too few values and its
intervals are too narrow. docs/statistics.md states what each test assumes and what it cannot show.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
ALPHA = 0.05
POWER = 0.8
MOST_SEEDS = 1000
# Quadrature points for the distribution of a sample variance; the power is then exact to 0.001.
QUANTILES = 2000


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (NaN below two values) of n values.

    `least_se` is a lower bound of the standard error that the values' own scatter cannot know: that of the counts of
    images behind them.
    """

    mean: float
    sd: float
    n: int
    least_se: float = 0.0

    @property
    def se(self) -> float:
        """Standard error of the mean, not below `least_se`; NaN below two values."""
        return max(self.sd / math.sqrt(self.n), self.least_se) if self.n > 1 else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Both ends of Student's 95 % interval of the mean; NaN below two values."""
        half = self.half_width((1 - CONFIDENCE) / 2)
        return self.mean - half, self.mean + half

    def half_width(self, alpha: float) -> float:
        """Distance from the mean to the one-sided confidence bound at level 1 − `alpha`; NaN below two values."""
        return t_quantile(self.n, alpha) * self.se if self.n > 1 else math.nan


def spread(values: Iterable[float], least_se: float = 0.0) -> Spread:
    """The Spread of some numbers, which must not be empty. A NaN or infinity among them makes the mean NaN."""
    array = np.array(list(values), dtype=float)
    array[~np.isfinite(array)] = np.nan
    sd = float(array.std(ddof=1)) if len(array) > 1 else math.nan
    return Spread(float(array.mean()), sd, len(array), least_se)


def t_quantile(n: int, alpha: float) -> float:
    """Upper `alpha` quantile of Student's t with n − 1 degrees of freedom."""
    from scipy.special import stdtrit  # planning a study should not wait for SciPy

    return float(stdtrit(n - 1, 1 - alpha))


def below_p(values: Spread, bound: float = 0.0) -> float:
    """p of the one-sided t test (Student 1908) that the mean lies below `bound`.

    NaN below two values, with a NaN among them, or where no standard error is known.
    """
    if values.n < 2 or not math.isfinite(values.mean) or not values.se > 0:
        return math.nan
    from scipy.special import stdtr

    return float(stdtr(values.n - 1, (values.mean - bound) / values.se))


def above_p(values: Spread, bound: float = 0.0) -> float:
    """p of the one-sided t test that the mean lies above `bound`; NaN as in `below_p`."""
    return below_p(Spread(-values.mean, values.sd, values.n, values.least_se), -bound)


def two_sided_p(values: Spread) -> float:
    """p of the t test that the mean differs from 0; NaN as in `below_p`."""
    return 2 * min(below_p(values), above_p(values))


def equivalence_p(values: Spread, margin: float) -> float:
    """p of the two one-sided t tests that the mean lies within ±`margin` (TOST; Schuirmann 1987); NaN as above."""
    return float(np.maximum(above_p(values, -margin), below_p(values, margin)))


def holm(p_values: Sequence[float], tests: int = 0) -> list[float]:
    """Holm's step-down adjusted p values (Holm 1979), in the given order.

    NaN stays NaN and is no test. A family that declares more `tests` than are given counts the others as not rejected.
    """
    tested = [i for i, p in enumerate(p_values) if not math.isnan(p)]
    count = max(len(tested), tests)
    adjusted = [math.nan] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(tested, key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (count - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values that bound the false discovery rate (Benjamini & Hochberg 1995). NaN stays NaN."""
    tested = [i for i, p in enumerate(p_values) if not math.isnan(p)]
    adjusted = [math.nan] * len(p_values)
    smallest = 1.0
    for rank, i in reversed(list(enumerate(sorted(tested, key=lambda i: p_values[i]), start=1))):
        smallest = min(smallest, len(tested) / rank * p_values[i])
        adjusted[i] = smallest
    return adjusted


def power_within(low: float, high: float, mean: float, sd: float, n: int, alpha: float) -> float:
    """Probability that one-sided t tests at `alpha` place a normal mean above `low` and below `high`.

    `low` may be −inf and `high` inf, which leaves one test. The conditional probability given the sample standard
    deviation is averaged over its χ² distribution.
    """
    from scipy.special import chdtri, ndtr

    tail = (np.arange(QUANTILES) + 0.5) / QUANTILES
    sample_sd = sd * np.sqrt(chdtri(n - 1, tail) / (n - 1))
    half = t_quantile(n, alpha) * sample_sd / math.sqrt(n)
    se = sd / math.sqrt(n)
    inside = ndtr((high - half - mean) / se) - ndtr((low + half - mean) / se)
    return float(np.maximum(inside, 0).mean())


def seeds_for(low: float, high: float, mean: float, sd: float, alpha: float, power: float = POWER) -> int | None:
    """The fewest seeds with which `power_within` reaches `power`; None above MOST_SEEDS.

    The power rises with n, so the number is found by bisection.
    """
    if not (math.isfinite(mean) and math.isfinite(sd) and low < mean < high):
        return None
    if sd == 0:
        return 2
    least, most = 2, MOST_SEEDS
    if power_within(low, high, mean, sd, most, alpha) < power:
        return None
    while least < most:
        middle = (least + most) // 2
        if power_within(low, high, mean, sd, middle, alpha) < power:
            least = middle + 1
        else:
            most = middle
    return least
