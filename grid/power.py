"""How many seeds each verdict of a study needs, and their cost: the output of `plan --power`."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from salun_grid.analysis.commands import verdicts_in
from salun_grid.analysis.statistics import ALPHA, POWER, seeds_for
from salun_grid.analysis.verdicts import Verdict
from salun_grid.grid.plan import Plan

# Standard deviations over seeds of one cell, in points: the largest of the methods of the demo (n = 5, 160 forgotten
# images, 8 classes; runs of other data differ).
TYPICAL_EXCESS_SD = 1.2
TYPICAL_DIFFERENCE_SD = 1.0
DIFFERENCES = (1.0, 2.0, 4.0)  # points of AG below the no-op


@dataclass(frozen=True)
class Scatter:
    """Standard deviation over seeds of the excess AG and of the difference to the no-op, in points, and its source."""

    excess: float
    difference: float
    source: str


def scatter_for(plan: Plan, folders: Iterable[str]) -> Scatter:
    """The observed scatter of the first folder with two complete seeds, else the typical one of the plan's cells."""
    return next((found for folder in folders if (found := observed(verdicts_in(folder)))), typical(num_cells(plan)))


def typical(cells: int) -> Scatter:
    """Documented values, for the mean over `cells` independent cells."""
    share = 1 / math.sqrt(cells)
    source = f"typical standard deviation, that of the demo (n = 5), over {cells} cells"
    return Scatter(TYPICAL_EXCESS_SD * share, TYPICAL_DIFFERENCE_SD * share, source)


def observed(verdicts: list[Verdict]) -> Scatter | None:
    """The largest of the methods in existing rows; None where fewer than two seeds are complete."""
    methods = [v.contrasts for v in verdicts if not v.is_control]
    excess = [one.excess.sd for one in methods if one.excess and math.isfinite(one.excess.sd)]
    difference = [one.benefit.sd for one in methods if one.benefit and math.isfinite(one.benefit.sd)]
    if not excess or not difference:
        return None
    seeds, cells = max(len(one.seeds) for one in methods), max(one.cells for one in methods)
    source = f"largest standard deviation of a method in existing rows ({seeds} seeds × {cells} cells)"
    return Scatter(max(excess), max(difference), source)


def num_cells(plan: Plan) -> int:
    """Cells that a seed averages: dataset × forget set × augmentation."""
    return len({(cell.data.source, cell.forget.label, cell.original.augmentation) for cell in plan.cells})


def power_lines(plan: Plan, scatter: Scatter, device_hours: float) -> Iterator[str]:
    """One line for each verdict: the seeds that it needs with power POWER, and their device-hours.

    `device_hours` are those of the whole plan.
    """
    family = max(1, len(plan.study.family))
    margin = plan.study.question.margin_points
    per_seed = device_hours / len(plan.study.seeds)
    yield f"{POWER:.0%} at a corrected level of {ALPHA:g} / {family} methods; {per_seed:,.2f} device-hours a seed"
    yield f"{scatter.source}: excess AG {scatter.excess:.2f}, difference {scatter.difference:.2f} points"
    seeds = seeds_for(-margin, margin, 0.0, scatter.excess, ALPHA / family)
    yield _line(f"a perfect method is equivalent within ±{margin:g}", seeds, per_seed)
    for difference in DIFFERENCES:
        seeds = seeds_for(-math.inf, 0.0, -difference, scatter.difference, ALPHA / 2 / family)
        yield _line(f"an AG {difference:g} below the no-op's is better", seeds, per_seed)


def _line(claim: str, seeds: int | None, per_seed: float) -> str:
    if seeds is None:
        return f"{claim}: more than 1,000 seeds"
    return f"{claim}: {seeds} seeds, {seeds * per_seed:,.2f} device-hours"
