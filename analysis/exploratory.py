"""Secondary results: signed gaps of single metrics in single cells, for the methods that pass the primary question.

They are exploratory: nothing was declared about them, and their p values bound the share of false discoveries
(Benjamini & Hochberg 1995), not the chance of any.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from salun_grid.analysis.cells import Group
from salun_grid.analysis.outcomes import Apart, Outcome, scored
from salun_grid.analysis.statistics import Spread, benjamini_hochberg, spread, two_sided_p
from salun_grid.analysis.verdicts import Verdict
from salun_grid.records.question import Question


@dataclass(frozen=True)
class Exploratory:
    """The mean signed gap of one metric to the retrain in one cell over seeds, and its adjusted p that it is not 0."""

    group: Group
    method: str
    metric: str
    gap: Spread
    p: float


def signed_gaps(blocks: Iterable[dict[str, Outcome]], question: Question) -> dict[tuple[Group, str, str], Spread]:
    """The Spread over seeds of each signed gap, by group, method and metric."""
    found: dict[tuple[Group, str, str], list[Apart]] = defaultdict(list)
    for block in blocks:
        for method, one in scored(block, question).items():
            for metric, gap in one.signed.items():
                found[block[method].cell.group, method, metric].append(gap)
    return {cell: _spread(gaps) for cell, gaps in found.items()}


def _spread(gaps: Sequence[Apart]) -> Spread:
    error = math.sqrt(float(np.mean([gap.se**2 for gap in gaps])) / len(gaps))
    return spread([gap.points for gap in gaps], error)


def explored(gaps: dict[tuple[Group, str, str], Spread], verdicts: Sequence[Verdict]) -> list[Exploratory]:
    """The gaps of the methods that pass, adjusted over all of them."""
    passing = {(v.contrasts.protocol, v.contrasts.method) for v in verdicts if v.passes and not v.is_control}
    chosen = {cell: gap for cell, gap in gaps.items() if (cell[0].protocol, cell[1]) in passing}
    adjusted = benjamini_hochberg([two_sided_p(gap) for gap in chosen.values()])
    return [Exploratory(*cell, gap, p) for (cell, gap), p in zip(chosen.items(), adjusted, strict=True)]
