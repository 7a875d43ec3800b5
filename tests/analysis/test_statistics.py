"""Intervals, equivalence and correction against restatements with nothing but arithmetic and a t distribution."""

import math
import random
import statistics
from itertools import permutations

import numpy as np
import pytest
from scipy.stats import false_discovery_control, nct, t, ttest_1samp

from salun_grid.analysis.statistics import (
    Spread,
    above_p,
    below_p,
    benjamini_hochberg,
    equivalence_p,
    holm,
    power_within,
    seeds_for,
    spread,
    two_sided_p,
)

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
    assert equivalence_p(spread(values), 1.0) == pytest.approx(naive_tost(values, 1.0), abs=1e-9)


@pytest.mark.parametrize("n", [3, 5, 12])
def test_equivalence_agrees_with_the_90_percent_interval(n: int) -> None:
    """TOST at 5 % is the same as a 90 % interval inside the margin."""
    for seed in range(40):
        values = some_values(n, seed, centre=0.6)
        half = t.ppf(0.95, n - 1) * statistics.stdev(values) / math.sqrt(n)
        assert spread(values).half_width(0.05) == pytest.approx(half)
        inside = abs(statistics.mean(values)) + half < 1.0
        assert (equivalence_p(spread(values), 1.0) < 0.05) == inside


@pytest.mark.parametrize("values", [[0.0], [0.0, math.nan, 0.1]], ids=str)
def test_what_cannot_be_tested_has_no_p(values: list[float]) -> None:
    for p in (equivalence_p(spread(values), 1.0), below_p(spread(values)), two_sided_p(spread(values))):
        assert math.isnan(p)


@pytest.mark.parametrize("centre", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("bound", [0.0, 0.4])
def test_the_tests_are_scipys(centre: float, bound: float) -> None:
    values = some_values(5, seed=3, centre=centre)
    found = spread(values)
    assert below_p(found, bound) == pytest.approx(ttest_1samp(values, bound, alternative="less").pvalue)
    assert above_p(found, bound) == pytest.approx(ttest_1samp(values, bound, alternative="greater").pvalue)
    assert two_sided_p(found) == pytest.approx(ttest_1samp(values, 0.0).pvalue)


def test_equal_values_are_no_certainty() -> None:
    """Counts of few images repeat by chance: without a known error nothing is tested, with one p is not 0."""
    assert math.isnan(equivalence_p(spread([0.0] * 3), 1.0))
    assert equivalence_p(spread([0.0] * 3, least_se=2.5), 1.0) > 0.05
    assert equivalence_p(spread([0.0] * 3, least_se=0.01), 1.0) == pytest.approx(t.cdf(-100, 2))


def test_the_error_of_the_images_is_a_lower_bound() -> None:
    values = [1.0, 2.0, 4.0]
    own = statistics.stdev(values) / math.sqrt(3)
    assert spread(values, least_se=0.1).se == pytest.approx(own)
    assert spread(values, least_se=5.0).se == 5.0
    low, high = spread(values, least_se=5.0).interval
    assert high - low == pytest.approx(2 * 4.303 * 5.0, rel=1e-3)


def test_benjamini_hochberg_is_scipys() -> None:
    rng = random.Random(2)
    p_values = [rng.random() ** 2 for _ in range(20)]
    assert benjamini_hochberg(p_values) == pytest.approx(list(false_discovery_control(p_values)))
    assert math.isnan(benjamini_hochberg([0.02, math.nan])[1])


def test_declared_methods_without_a_result_count_in_the_family() -> None:
    assert holm([0.01, 0.02], tests=5) == pytest.approx([0.05, 0.08])


@pytest.mark.parametrize(("mean", "n"), [(-1.0, 5), (-2.0, 3), (-0.5, 20), (0.0, 4)])
def test_power_of_one_test_is_the_noncentral_ts(mean: float, n: int) -> None:
    exact = nct.cdf(t.ppf(0.05, n - 1), n - 1, mean * math.sqrt(n))
    assert power_within(-math.inf, 0.0, mean, 1.0, n, 0.05) == pytest.approx(exact, abs=2e-3)


def test_power_of_equivalence_is_the_share_of_simulated_studies() -> None:
    rng = np.random.default_rng(0)
    draws = rng.normal(0.2, 0.5, (20_000, 5))
    half = t.ppf(0.95, 4) * draws.std(axis=1, ddof=1) / math.sqrt(5)
    share = np.mean(np.abs(draws.mean(axis=1)) + half < 1.0)
    assert power_within(-1.0, 1.0, 0.2, 0.5, 5, 0.05) == pytest.approx(share, abs=0.012)


@pytest.mark.parametrize("sd", [0.2, 1.0, 3.0])
def test_the_seeds_needed_are_the_fewest(sd: float) -> None:
    n = seeds_for(-1.0, 1.0, 0.1, sd, 0.05)
    assert n is not None
    assert power_within(-1.0, 1.0, 0.1, sd, n, 0.05) >= 0.8
    assert n == 2 or power_within(-1.0, 1.0, 0.1, sd, n - 1, 0.05) < 0.8


def test_no_number_of_seeds_proves_what_is_not_so() -> None:
    assert seeds_for(-1.0, 1.0, 1.2, 0.1, 0.05) is None
    assert seeds_for(-1.0, 1.0, math.nan, 0.1, 0.05) is None
    assert seeds_for(-1.0, 1.0, 0.99, 3.0, 0.05) is None


def test_one_value_has_no_error() -> None:
    assert math.isnan(Spread(1.0, math.nan, 1, 0.5).se)


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
