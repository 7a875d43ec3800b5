"""What each model scores on the metrics of the average gap, and how far two models of one cell and seed are apart.

Predictions give the exact numbers of images on which two models disagree; without them the counts in `runs` stand in.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from salun_grid.analysis.attacks import Case
from salun_grid.analysis.cells import Cell, Group
from salun_grid.analysis.counts import paired_auc_se, paired_proportion_se, placements, unpaired_proportion_se
from salun_grid.analysis.evidence import Reader
from salun_grid.analysis.gaps import NO_OP, NOISE, RETRAIN
from salun_grid.analysis.metrics import Predictions
from salun_grid.analysis.results import has_rows
from salun_grid.records.errors import UndefinedError
from salun_grid.records.question import Question

# The column with the number of images behind a percentage; `runs` does not hold that of the test split.
COUNTS = {"ua": "num_forget", "ra": "num_retain", "mia": "num_forget"}


@dataclass(frozen=True, eq=False)
class Outcome:
    """One evaluated model: its `values` by metric, in percent.

    From predictions, `correct` holds whether each image of D_f (`ua`), D_r (`ra`) and test (`ta`) is classified
    correctly, and `ranks` the placements of the loss attack. Without predictions, `counts` holds numbers of images.
    """

    cell: Cell
    values: dict[str, float]
    counts: dict[str, int]
    correct: dict[str, np.ndarray] = field(default_factory=dict)
    ranks: tuple[np.ndarray, np.ndarray] | None = None

    def se(self, metric: str, other: "Outcome") -> float:
        """Standard error, from the number of images, of the difference to `other` in one metric; 0 where unknown."""
        if metric in self.correct and metric in other.correct:
            return paired_proportion_se(self.correct[metric], other.correct[metric])
        if metric == "auc" and self.ranks and other.ranks:
            return paired_auc_se(self.ranks, other.ranks)
        images = self.counts.get(metric, 0)
        return unpaired_proportion_se(self.values[metric], other.values[metric], images) if images else 0.0


class Apart(NamedTuple):
    """A difference in percentage points, with the standard error that the number of images alone gives it."""

    points: float
    se: float


@dataclass(frozen=True)
class Scored:
    """One method in one cell of one seed.

    `signed` is each metric minus the retrain's. `ag` is the mean absolute gap; `over_noise` and `over_no_op` are this
    AG minus that of `retrain-again` and of `original`, None where these are missing.
    """

    ag: float
    signed: dict[str, Apart]
    over_noise: Apart | None
    over_no_op: Apart | None


class ScoredBlock(NamedTuple):
    """The methods and controls of one group and seed, None for each where the block has no retrain."""

    group: Group
    seed: int
    scored: dict[str, Scored | None]


def of_row(cell: Cell) -> Outcome:
    """The Outcome in a row of `runs`."""
    values = {metric: cell.run[metric] for metric in ("ua", "ra", "ta", "mia")}
    return Outcome(cell, values, {metric: cell.run[column] for metric, column in COUNTS.items()})


def of_predictions(cell: Cell, predictions: Predictions) -> Outcome:
    """The Outcome of the predictions; the paper's attack is that of the row."""
    correct = {split: p.argmax(1) == predictions.labels[split] for split, p in predictions.logits.items()}
    forgotten = predictions.forgotten
    bits = {"ua": correct["train"][forgotten], "ra": correct["train"][~forgotten], "ta": correct["test"]}
    row = of_row(cell)
    if not predictions.finite:
        return Outcome(cell, row.values | {"auc": math.nan}, row.counts)
    ranks = attack_placements(predictions)
    percent = {metric: 100.0 * float(np.mean(hits)) for metric, hits in bits.items()}
    percent["ua"] = 100.0 - percent["ua"]
    percent["auc"] = 100 * float(ranks[0].mean()) if ranks else math.nan
    return Outcome(cell, row.values | percent, row.counts, bits, ranks)


def attack_placements(predictions: Predictions) -> tuple[np.ndarray, np.ndarray] | None:
    """The placements of the loss attack on D_f; None where no held-out image is comparable."""
    try:
        return placements(*Case(predictions).scores("loss"))
    except UndefinedError:
        return None


def answerable(folder: str, question: Question) -> Question:
    """`question`, or with the paper's attack in place of one that needs predictions where the folder has none."""
    if question.attack == "mia" or has_rows(folder, "predictions"):
        return question
    return replace(question, attack="mia")


def outcomes_in(folder: str, cells: Iterable[Cell]) -> Iterator[dict[str, Outcome]]:
    """The outcomes of each group and seed by method, from predictions where the folder has them."""
    reader = Reader(folder) if has_rows(folder, "predictions") else None
    found: dict[tuple[Group, int], list[Cell]] = defaultdict(list)
    for cell in cells:
        found[cell.group, cell.run["seed"]].append(cell)
    for own in found.values():
        yield {c.method: of_predictions(c, reader.read(c.run)) if reader else of_row(c) for c in own}


def scored_blocks(blocks: Iterable[dict[str, Outcome]], question: Question) -> Iterator[ScoredBlock]:
    """Each block scored by the question; the outcomes, which hold a value for each image, are not kept."""
    for block in blocks:
        cell, found = next(iter(block.values())).cell, scored(block, question)
        methods = {method: found.get(method) for method in block if method != RETRAIN}
        yield ScoredBlock(cell.group, cell.run["seed"], methods)


def scored(block: dict[str, Outcome], question: Question) -> dict[str, Scored]:
    """Every method and control of a block against its retrain; nothing where the block has none."""
    if RETRAIN not in block:
        return {}
    retrain, metrics = block[RETRAIN], question.metrics
    gaps = {
        name: {m: Apart(one.values[m] - retrain.values[m], one.se(m, retrain)) for m in metrics}
        for name, one in block.items()
        if name != RETRAIN and one.cell.target is not None
    }
    averages = {name: float(np.mean([abs(gap.points) for gap in own.values()])) for name, own in gaps.items()}

    def over(name: str, control: str) -> Apart | None:
        if control not in averages or control == name:
            return None
        errors = [block[name].se(metric, block[control]) for metric in metrics]
        return Apart(averages[name] - averages[control], math.hypot(*errors) / len(metrics))

    return {name: Scored(averages[name], own, over(name, NOISE), over(name, NO_OP)) for name, own in gaps.items()}
