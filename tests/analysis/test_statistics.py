"""Intervals, equivalence and correction against restatements with nothing but arithmetic and a t distribution."""

import math
import random
import statistics
from itertools import permutations

import pytest
from scipy.stats import t

from salun_grid.analysis.statistics import below_zero_p, equivalence_p, holm, spread

# Two-sided 95 % quantiles of Student's t, from a printed table.
PRINTED_T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 10: 2.262}


def some_values(n: int, seed: int, centre: float = 0.0) -> list[float]:
    rng = random.Random(seed)
    return [centre + rng.gauss(0, 0.5) for _ in range(n)]


@pytest.mark.parametrize("n", PRINTED_T)
def test_interval_is_the_printed_tables(n: int) -> None:
    values = some_values(n, seed=n)
    half = PRINTED_T[n] * statistics.stdev(values) / math.sqrt(n)
    low, high = spread(values).interval
    assert low == pytest.approx(statistics.mean(values) - half, rel=1e-3)
    assert high == pytest.approx(statistics.mean(values) + half, rel=1e-3)


def test_one_value_has_no_interval() -> None:
    assert all(math.isnan(end) for end in spread([2.0]).interval)


def test_a_nan_among_the_values_is_not_averaged_away() -> None:
    found = spread([1.0, math.nan, 2.0])
    assert math.isnan(found.mean)
    assert found.n == 3


def naive_tost(values: list[float], margin: float) -> float:
    """Both one-sided tests written out: the larger of the two tail probabilities."""
    n, mean = len(values), statistics.mean(values)
    error = statistics.stdev(values) / math.sqrt(n)
    not_above_lower = 1 - t.cdf((mean + margin) / error, n - 1)
    not_below_upper = t.cdf((mean - margin) / error, n - 1)
    return max(not_above_lower, not_below_upper)


@pytest.mark.parametrize("centre", [0.0, 0.9, -0.9, 1.5, -3.0])
@pytest.mark.parametrize("n", [2, 3, 5, 12])
def test_equivalence_is_two_one_sided_tests(n: int, centre: float) -> None:
    values = some_values(n, seed=7 * n, centre=centre)
    assert equivalence_p(values, 1.0) == pytest.approx(naive_tost(values, 1.0), abs=1e-9)


@pytest.mark.parametrize("n", [3, 5, 12])
def test_equivalence_agrees_with_the_90_percent_interval(n: int) -> None:
    """TOST at 5 % is the same as a 90 % interval inside the margin."""
    for seed in range(40):
        values = some_values(n, seed, centre=0.6)
        half = t.ppf(0.95, n - 1) * statistics.stdev(values) / math.sqrt(n)
        inside = abs(statistics.mean(values)) + half < 1.0
        assert (equivalence_p(values, 1.0) < 0.05) == inside


@pytest.mark.parametrize(("value", "p"), [(0.0, 0.0), (0.99, 0.125), (1.0, 1.0), (-1.0, 1.0), (-4.0, 1.0)])
def test_equal_differences_are_inside_the_margin_or_not(value: float, p: float) -> None:
    """Counts of few images repeat by chance: three equal gaps are three coins that fell alike, unless there is none."""
    assert equivalence_p([value] * 3, 1.0) == p


@pytest.mark.parametrize("values", [[], [0.0], [0.0, math.nan, 0.1]], ids=str)
def test_what_cannot_be_tested_has_no_p(values: list[float]) -> None:
    assert math.isnan(equivalence_p(values, 1.0))
    assert math.isnan(below_zero_p(values))


@pytest.mark.parametrize("centre", [-1.0, 0.0, 1.0])
def test_below_zero_is_the_lower_tail(centre: float) -> None:
    values = some_values(5, seed=3, centre=centre)
    statistic = statistics.mean(values) / (statistics.stdev(values) / math.sqrt(5))
    assert below_zero_p(values) == pytest.approx(t.cdf(statistic, 4), abs=1e-12)


def naive_holm(p_values: list[float]) -> list[float]:
    """Adjusted p of a test: the largest, over all tests with no larger p, of p times the tests not yet passed."""
    out = []
    for p in p_values:
        candidates = [q * sum(r >= q for r in p_values) for q in p_values if q <= p]
        out.append(min(1.0, max(candidates)))
    return out


@pytest.mark.parametrize("order", list(permutations([0.01, 0.04, 0.03, 0.5])))
def test_holm_by_hand_whatever_the_order(order: tuple[float, ...]) -> None:
    adjusted = dict(zip(order, holm(order), strict=True))
    assert adjusted == pytest.approx({0.01: 0.04, 0.03: 0.09, 0.04: 0.09, 0.5: 0.5})


def test_holm_equals_the_naive_definition() -> None:
    rng = random.Random(1)
    for n in (1, 2, 5, 20):
        p_values = [rng.random() ** 3 for _ in range(n)]
        assert holm(p_values) == pytest.approx(naive_holm(p_values))


def test_holm_does_not_count_what_was_not_tested() -> None:
    found = holm([0.02, math.nan, 0.5])
    assert found[0] == pytest.approx(0.04)
    assert math.isnan(found[1])


def test_rounding_is_no_evidence() -> None:
    assert below_zero_p([-1e-15] * 3) == 1.0
    assert below_zero_p([-2.0] * 5) == 0.5**5
    assert equivalence_p([1.0 - 1e-15] * 3, 1.0) == 1.0
