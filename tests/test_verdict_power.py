"""Error rates, coverage and power of the verdicts in simulated studies, at fixed seeds.

docs/statistics.md has the whole table, from `python -m benchmarks.verdict_power`.
"""

import math

import numpy as np
import pytest

from benchmarks.verdict_power import Rates, Scenario, gap_at_margin, mean_ag, rates, scenarios, table
from salun_grid.analysis.counts import paired_proportion_se
from salun_grid.analysis.statistics import spread

STUDIES = 400
# The error rate 0.05 with two standard errors of this many studies.
MOST_ERRORS = 0.05 + 2 * math.sqrt(0.05 * 0.95 / STUDIES)
LEAST_COVERAGE = 0.95 - 2 * math.sqrt(0.05 * 0.95 / STUDIES)


@pytest.fixture(scope="module")
def found() -> dict[str, Rates]:
    return {name: rates(scenario, STUDIES) for name, scenario in scenarios(5, 4).items()}


def test_a_method_like_the_no_op_is_rarely_called_better_or_worse(found: dict[str, Rates]) -> None:
    for name in ("the no-op itself", "ten methods like the no-op"):
        assert found[name].better + found[name].worse <= MOST_ERRORS, name
        assert found[name].passes <= MOST_ERRORS


def test_a_method_at_the_margin_is_rarely_called_equivalent_or_farther(found: dict[str, Rates]) -> None:
    for name in ("excess AG at the margin", "ten methods at the margin"):
        assert found[name].equivalent <= MOST_ERRORS, name
        assert found[name].farther <= MOST_ERRORS, name


def test_a_perfect_method_whose_noise_is_doubled_is_never_called_worse(found: dict[str, Rates]) -> None:
    assert found["perfect, its noise doubled"].worse == 0.0


def test_intervals_cover_what_they_estimate(found: dict[str, Rates]) -> None:
    for name, one in found.items():
        assert one.excess_coverage >= LEAST_COVERAGE, name
        assert one.difference_coverage >= LEAST_COVERAGE, name


def test_the_excess_is_unbiased_to_a_tenth_of_a_point(found: dict[str, Rates]) -> None:
    assert abs(found["perfect method"].mean_excess) < 0.1
    true = mean_ag(0.5) - mean_ag(0.0)
    assert found["half of the no-op's gap"].mean_excess == pytest.approx(true, abs=0.1)


def test_half_of_the_no_ops_gap_is_found_with_five_seeds_of_four_cells(found: dict[str, Rates]) -> None:
    assert found["half of the no-op's gap"].better >= 0.8
    assert found["perfect method"].better >= 0.8


def test_the_margin_is_met_where_it_is_said_to_be() -> None:
    assert mean_ag(gap_at_margin()) - mean_ag(0.0) == pytest.approx(1.0)


@pytest.mark.parametrize("accuracy", [0.85, 0.99, 1.0])
def test_intervals_of_few_images_cover_too(accuracy: float) -> None:
    """54 images, 5 seeds, two models of one accuracy that agree on most images; the Student interval alone fails."""
    rng, covered, alone, studies = np.random.default_rng(0), 0, 0, 400
    for _ in range(studies):
        first = rng.random((5, 54)) < accuracy
        second = np.where(rng.random((5, 54)) < 0.1, rng.random((5, 54)) < accuracy, first)
        gaps = 100 * (first.mean(axis=1) - second.mean(axis=1))
        errors = [paired_proportion_se(*pair) for pair in zip(first, second, strict=True)]
        floor = math.sqrt(float(np.mean(np.square(errors))) / 5)
        low, high = spread(gaps, floor).interval
        covered += low <= 0 <= high and high > low
        low, high = spread(gaps).interval
        alone += low <= 0 <= high and high > low
    assert covered / studies >= 0.93
    assert alone <= covered


def test_the_table_has_a_row_for_each_scenario() -> None:
    assert len(list(table(10, [(2, 1), (3, 1)]))) == 2 + 2 * len(scenarios(2, 1))
    assert Scenario(3, 1) in scenarios(3, 1).values()
