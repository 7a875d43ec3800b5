"""`plan --power`: seeds from typical or observed scatter, and their cost."""

import math
from pathlib import Path

import pytest
from click.testing import CliRunner
from scipy.stats import nct, t

from salun_grid.analysis.contrasts import Contrasts
from salun_grid.analysis.statistics import Spread
from salun_grid.analysis.verdicts import Verdict
from salun_grid.grid.cli import main
from salun_grid.grid.plan import make_plan
from salun_grid.grid.power import TYPICAL_DIFFERENCE_SD, TYPICAL_EXCESS_SD, num_cells, observed, power_lines, typical
from salun_grid.grid.study import STUDIES
from salun_grid.records.question import Question


def test_a_plan_without_rows_uses_the_typical_scatter_of_its_cells(small_npz: Path, tmp_path: Path) -> None:
    words = ["plan", "digits", "--dataset", str(small_npz), "--power", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, words)
    lines = [line for line in result.stdout.splitlines() if line.startswith("power")]
    assert len(lines) == 6
    assert "over 4 cells" in lines[1]
    assert f"excess AG {TYPICAL_EXCESS_SD / 2:.2f}, difference {TYPICAL_DIFFERENCE_SD / 2:.2f}" in lines[1]
    assert "a perfect method is equivalent within ±1: " in lines[2]
    assert not (tmp_path / "out").exists()


def test_the_seeds_of_a_difference_have_the_power() -> None:
    plan = make_plan(STUDIES["demo"])
    assert num_cells(plan) == 1
    line = list(power_lines(plan, typical(1), 10.0))[-1]
    seeds = int(line.split(": ")[1].split(" ")[0])

    def power(n: int) -> float:
        return float(nct.cdf(t.ppf(0.0125, n - 1), n - 1, -4.0 / TYPICAL_DIFFERENCE_SD * math.sqrt(n)))

    assert power(seeds) >= 0.8 > power(seeds - 1)
    assert line.endswith(f"{seeds} seeds, {seeds * 2:,.2f} device-hours")


@pytest.mark.parametrize("sds", [(0.5, 0.7), (2.0, 0.1)])
def test_observed_scatter_is_that_of_the_widest_method(sds: tuple[float, float]) -> None:
    def verdict(method: str, sd: float) -> Verdict:
        spread = Spread(1.0, sd, 3)
        contrasts = Contrasts("p", method, 2, 0, (0, 1, 2), (), spread, spread, Spread(1.0, sd / 2, 3))
        return Verdict(contrasts, Question(), 2, 1.0, 1.0, 1.0, False)

    found = observed([verdict("a", sds[0]), verdict("b", sds[1]), verdict("original", 9.0)])
    assert found is not None
    assert (found.excess, found.difference) == (max(sds), max(sds) / 2)
    assert "3 seeds × 2 cells" in found.source
    assert observed([verdict("original", 9.0)]) is None
