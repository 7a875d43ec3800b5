"""What a verdict is about: the AG of a method, its excess over a second retraining and its difference to the no-op.

The unit is a seed: its value is the mean over the cells (dataset × forget set × augmentation) that the seed completed.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from salun_grid.analysis.cells import Group
from salun_grid.analysis.gaps import NO_OP, NOISE
from salun_grid.analysis.outcomes import Apart, Scored, ScoredBlock
from salun_grid.analysis.statistics import Spread, spread


@dataclass(frozen=True)
class Contrasts:
    """One method of one protocol over its seeds, in percentage points; None if a control or all seeds are missing.

    `uncontrolled` cells lack a control and are left out, as are the seeds `left_out`, which lack one of the cells.
    `excess` is AG minus that of a second retraining, `benefit` AG minus the no-op's (below 0: closer to the retrain).
    """

    protocol: str
    method: str
    cells: int
    uncontrolled: int
    seeds: tuple[int, ...]
    left_out: tuple[int, ...]
    ag: Spread | None
    excess: Spread | None
    benefit: Spread | None


def contrasts_of(blocks: Iterable[ScoredBlock]) -> list[Contrasts]:
    """Every method and control over its seeds, in the order of the protocols and methods in `blocks`."""
    found: dict[tuple[str, str], dict[tuple[Group, int], Scored]] = defaultdict(dict)
    for block in blocks:
        for method, one in block.scored.items():
            own = found[block.group.protocol, method]
            if one:
                own[block.group, block.seed] = one
    return [_over_seeds(protocol, method, own) for (protocol, method), own in found.items()]


def _over_seeds(protocol: str, method: str, own: dict[tuple[Group, int], Scored]) -> Contrasts:
    """The mean over cells of each seed that has all of them, then its Spread over seeds.

    The cells are those with both controls, or all where none has both.
    """
    groups = {group for group, _ in own}
    controlled = {
        group
        for (group, _), one in own.items()
        if (one.over_noise or method == NOISE) and (one.over_no_op or method == NO_OP)
    }
    cells = sorted(controlled or groups)
    seeds = sorted({seed for _, seed in own})
    complete = [seed for seed in seeds if all((group, seed) in own for group in cells)]

    def over_seeds(value: Callable[[Scored], Apart | None]) -> Spread | None:
        values = [[value(own[group, seed]) for group in cells] for seed in complete]
        usable = [[one for one in row if one is not None] for row in values]
        whole = [row for row in usable if len(row) == len(cells)]
        return spread_over_seeds(whole) if whole else None

    left_out = tuple(seed for seed in seeds if seed not in complete)
    ag = over_seeds(lambda one: Apart(one.ag, 0.0))
    excess, benefit = over_seeds(lambda one: one.over_noise), over_seeds(lambda one: one.over_no_op)
    return Contrasts(
        protocol, method, len(cells), len(groups) - len(cells), tuple(complete), left_out, ag, excess, benefit
    )


def spread_over_seeds(values: Sequence[Sequence[Apart]]) -> Spread:
    """The Spread over seeds of the means over the cells of each; the errors of cells and seeds are independent."""
    means = [float(np.mean([one.points for one in row])) for row in values]
    variances = [float(np.mean([one.se**2 for one in row])) / len(row) for row in values]
    return spread(means, math.sqrt(float(np.mean(variances)) / len(values)))
