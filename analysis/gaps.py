"""Gaps of cells to their retrain, and their average AG. Pure functions."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from salun_grid.analysis.cells import Cell, Group
from salun_grid.analysis.rows import Run
from salun_grid.analysis.statistics import Spread, spread
from salun_grid.records.errors import InputError
from salun_grid.records.forget_label import forget_name

PAPER_METRICS = ("ua", "ra", "ta", "mia")
# Table 1 of the paper averages four gaps; its printed Table 2 equals the average of three, without RA.
AVERAGES: dict[str, tuple[str, ...]] = {"ag": PAPER_METRICS, "ag3": ("ua", "ta", "mia")}

# The controls: the no-op, and a second retraining.
RETRAIN, NO_OP, NOISE = "retrain", "original", "retrain-again"
CONTROLS = {NO_OP: "original (no-op)", NOISE: "retrain-again (noise floor)"}
NOT_METHODS = {RETRAIN, *CONTROLS}


def signed_gaps(run: Run, retrain: Run) -> dict[str, float]:
    """The gap of each metric to the retrain, in percentage points."""
    return {metric: run[metric] - retrain[metric] for metric in PAPER_METRICS}


def gaps(run: Run, retrain: Run) -> dict[str, float]:
    """Absolute gap of each metric to the retrain's, in percentage points, with the averages `ag` and `ag3`."""
    each = {metric: abs(gap) for metric, gap in signed_gaps(run, retrain).items()}
    return each | {name: float(np.mean([each[metric] for metric in over])) for name, over in AVERAGES.items()}


@dataclass(frozen=True)
class Summary:
    """One method in one group over its seeds: metrics, gaps (empty without retrains) and RTE.

    `method` is the name of the variant, `base` that of the method. `gaps` are absolute and include the averages,
    `signed` are method minus retrain; `…_by_seed` hold the seeds with a retrain, ascending. `seconds_on` is RTE in
    seconds by device, because seconds of different devices are never averaged.
    """

    group: Group
    method: str
    base: str
    values: dict[str, Spread]
    gaps: dict[str, Spread]
    signed: dict[str, Spread]
    seconds_on: dict[str, Spread]
    seeds: tuple[int, ...]
    ag_by_seed: dict[int, float]


def summarise(cells: Iterable[Cell]) -> list[Summary]:
    """One Summary per group and variant, in the order of `cells`. Raises InputError if a seed occurs twice."""
    members: dict[tuple[Group, str], list[Cell]] = defaultdict(list)
    for cell in cells:
        members[cell.group, cell.method].append(cell)
    return [_summary(group, method, own) for (group, method), own in members.items()]


def _summary(group: Group, method: str, cells: list[Cell]) -> Summary:
    twice = [seed for seed, count in Counter(cell.run["seed"] for cell in cells).items() if count > 1]
    if twice:
        raise InputError(
            f"seed {twice[0]} of {method} on {group.dataset}, {group.augmentation}, forgetting "
            f"{forget_name(group.forget)}, is there twice; put results that are not one study in folders of their own."
        )
    cells = sorted(cells, key=lambda cell: cell.run["seed"])
    runs = [cell.run for cell in cells]
    with_target = [(cell.run, cell.target) for cell in cells if cell.target]
    per_seed = {run["seed"]: gaps(run, target) for run, target in with_target}
    signed = {run["seed"]: signed_gaps(run, target) for run, target in with_target}
    names = (*PAPER_METRICS, *AVERAGES)
    return Summary(
        group=group,
        method=method,
        base=runs[0]["method"],
        values={metric: spread(run[metric] for run in runs) for metric in PAPER_METRICS},
        gaps={name: spread(gap[name] for gap in per_seed.values()) for name in names} if per_seed else {},
        signed={name: spread(gap[name] for gap in signed.values()) for name in PAPER_METRICS} if signed else {},
        seconds_on={name: spread(run["seconds_total"] for run in own) for name, own in _by_device(runs).items()},
        seeds=tuple(run["seed"] for run in runs),
        ag_by_seed={seed: gap["ag"] for seed, gap in per_seed.items()},
    )


def _by_device(runs: list[Run]) -> dict[str, list[Run]]:
    """Rows by device name; several workers on one kind of device count as another device."""
    found: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        workers = f", {run['num_workers']} workers" if run["num_workers"] > 1 else ""
        found[f"{run['device_name']}{workers}"].append(run)
    return dict(sorted(found.items()))
