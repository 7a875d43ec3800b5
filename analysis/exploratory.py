"""Secondary results: signed gaps of single metrics in single cells, for the methods that pass the primary question.

They are exploratory: nothing was declared about them, and their p values bound the share of false discoveries
(Benjamini & Hochberg 1995), not the chance of any.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from salun_grid.analysis.cells import Group
from salun_grid.analysis.contrasts import spread_over_seeds
from salun_grid.analysis.outcomes import Apart, ScoredBlock
from salun_grid.analysis.statistics import Spread, benjamini_hochberg, two_sided_p
from salun_grid.analysis.verdicts import Verdict


@dataclass(frozen=True)
class Exploratory:
    """The mean signed gap of one metric to the retrain in one cell over seeds, and its adjusted p that it is not 0."""

    group: Group
    method: str
    metric: str
    gap: Spread
    p: float


def signed_gaps(blocks: Iterable[ScoredBlock]) -> dict[tuple[Group, str, str], Spread]:
    """The Spread over seeds of each signed gap, by group, method and metric."""
    found: dict[tuple[Group, str, str], list[Apart]] = defaultdict(list)
    for block in blocks:
        for method, one in block.scored.items():
            for metric, gap in one.signed.items() if one else ():
                found[block.group, method, metric].append(gap)
    return {cell: spread_over_seeds([[gap] for gap in gaps]) for cell, gaps in found.items()}


def explored(gaps: dict[tuple[Group, str, str], Spread], verdicts: Sequence[Verdict]) -> list[Exploratory]:
    """The gaps of the methods that pass, adjusted over all of them."""
    passing = {(v.contrasts.protocol, v.contrasts.method) for v in verdicts if v.passes and not v.is_control}
    chosen = {cell: gap for cell, gap in gaps.items() if (cell[0].protocol, cell[1]) in passing}
    adjusted = benjamini_hochberg([two_sided_p(gap) for gap in chosen.values()])
    return [Exploratory(*cell, gap, p) for (cell, gap), p in zip(chosen.items(), adjusted, strict=True)]
