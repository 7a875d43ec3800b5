"""Metrics from `predictions`, read one model at a time; the reference models of its block stay in memory."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from salun_grid.analysis.attacks import HELD_OUT, NON_MEMBERS, Case
from salun_grid.analysis.catalogue import METRICS, Value
from salun_grid.analysis.cells import Cell, Group
from salun_grid.analysis.metrics import Predictions
from salun_grid.analysis.references import References
from salun_grid.analysis.results import Run, check_files, find_files, open_table, read_file, readable
from salun_grid.analysis.scores import log_odds
from salun_grid.records.errors import InputError, UndefinedError
from salun_grid.records.forget_label import reference_group

SPLITS = ("train", "val", "test")
TRAINED_WITHOUT = ("retrain", "retrain-again")


class Reader:
    """Predictions of single models of a folder. Raises InputError if those of a model are missing or incomplete."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.files = find_files(folder, "predictions")
        check_files(self.files)  # before minutes of work, not after
        self.by_key = {PurePath(path).stem: path for path in self.files.paths}

    def read(self, run: Run) -> Predictions:
        """Logits and labels of every image under the model of `run`, sorted by index."""
        key = run["job_key"]
        table = self._rows(key)
        self._check_values(run, table)
        splits = {split: _images(table, split) for split in SPLITS}
        for split, images in splits.items():
            self._check(run, split, images["index"].to_numpy())
        return Predictions(
            logits={split: _matrix(images["logits"]) for split, images in splits.items()},
            labels={split: images["label"].to_numpy().astype(np.int64) for split, images in splits.items()},
            forgotten=splits["train"]["forgotten"].to_numpy(),
        )

    def _check_values(self, run: Run, table: pa.Table) -> None:
        """Raise InputError unless no value is null, labels are valid classes, and every image has a logit per class."""
        empty = [name for name in table.column_names if table[name].null_count]
        lengths = pc.unique(pc.list_value_length(table["logits"])).to_pylist()
        labels = pc.min_max(table["label"]).as_py()
        if not len(table):
            return
        if empty:
            why = f"{empty[0]} is null for some images"
        elif table["logits"].combine_chunks().flatten().null_count or len(lengths) != 1:
            why = "its images differ in the number of their logits"
        elif not 0 <= labels["min"] <= labels["max"] < lengths[0]:
            why = f"its labels are not among {lengths[0]} classes"
        else:
            return
        raise InputError(f"the predictions of job {run['job_key']} are damaged: {why}; copy the folder again.")

    def _check(self, run: Run, split: str, index: np.ndarray) -> None:
        """Raise InputError unless each image occurs once: for train, as many as the row counts, else up to the last."""
        last = int(index[-1]) + 1 if len(index) else 0
        due = run["num_forget"] + run["num_retain"] if split == "train" else last
        if not due or not np.array_equal(index, np.arange(due)):
            wanted = f"{due:,}" if due else "some"
            raise InputError(
                f"{self.folder} holds {len(index):,} {split} images for job {run['job_key']} instead of {wanted}; "
                "results/predictions is not a whole copy, copy the folder again."
            )

    def _rows(self, key: str) -> pa.Table:
        if key in self.by_key:
            table = read_file(self.files, self.by_key[key])
            return table.filter(pc.equal(table["job_key"], key))
        # The grid writes one file a job, under its key; a folder rewritten in other pieces is searched as a whole.
        with readable(self.files.place.inside("results", "predictions")):
            return self.dataset.to_table(filter=ds.field("job_key") == key)

    @cached_property
    def dataset(self) -> ds.Dataset:
        return open_table(self.folder, "predictions")


def _images(table: pa.Table, split: str) -> pa.Table:
    """The rows of one split, by index."""
    rows = table.filter(pc.equal(table["split"], split))
    order = np.argsort(rows["index"].to_numpy(), kind="stable")
    return rows if np.array_equal(order, np.arange(len(order))) else rows.take(order)


def _matrix(logits: pa.ChunkedArray) -> np.ndarray:
    return logits.combine_chunks().flatten().to_numpy().reshape(len(logits), -1)


@dataclass(frozen=True)
class Measured:
    """One metric of one cell. `element` is the class of a per-class metric, else None.

    If there is no value, `value` is NaN and `reason` says why.
    """

    cell: Cell
    metric: str
    element: int | None
    value: float
    reason: str = ""


@dataclass(frozen=True)
class Reference:
    """A model trained without its forgotten images: logit-scaled confidences by split (float32), and its D_f."""

    seed: int
    odds: dict[str, np.ndarray]
    forgotten: np.ndarray

    @classmethod
    def of(cls, run: Run, predictions: Predictions) -> "Reference":
        odds = {s: log_odds(predictions.logits[s], predictions.labels[s]).astype(np.float32) for s in SPLITS}
        return cls(run["seed"], odds, predictions.forgotten)


def references_for(
    seed: int, forgotten: np.ndarray, references: Sequence[Reference], non_members: str
) -> References | None:
    """The references for a target of `seed`; None if all of them have that seed."""
    others = [reference for reference in references if reference.seed != seed]
    if not others:
        return None
    return References(
        forgotten=np.stack([other.odds["train"][forgotten] for other in others]),
        out=np.stack([other.forgotten[forgotten] for other in others]),
        non_members=np.stack([other.odds[non_members] for other in others]),
        population=np.stack([other.odds[HELD_OUT[non_members]] for other in others]),
    )


def blocks(cells: Iterable[Cell]) -> list[list[Cell]]:
    """Cells grouped by data and training, over all seeds and methods.

    Forget sets share a block if the retrains of one can be references for another.
    """
    found: dict[Group, list[Cell]] = defaultdict(list)
    for cell in cells:
        found[cell.group._replace(forget=reference_group(cell.group.forget))].append(cell)
    return list(found.values())


def measure(
    folder: str, cells: Iterable[Cell], names: Sequence[str], non_members: str = NON_MEMBERS
) -> Iterator[Measured]:
    """The named METRICS of every cell. Raises InputError if predictions are missing or incomplete."""
    for cell, case in cases(folder, cells, names, non_members):
        yield from measured(cell, case, names)


def cases(
    folder: str, cells: Iterable[Cell], names: Sequence[str], non_members: str = NON_MEMBERS
) -> Iterator[tuple[Cell, Case]]:
    """Every cell with its predictions, those of its retrain and, if one of `names` needs them, its references.

    In memory are one model, its retrain and the references of its block.
    """
    reader = Reader(folder)
    for block in blocks(cells):
        references = _references(block, reader, names)
        for target, own in _by_target(block):
            retrain = reader.read(target) if target else None
            for cell in own:
                model = retrain if retrain is not None and cell.run is target else reader.read(cell.run)
                others = references_for(cell.run["seed"], model.forgotten, references, non_members)
                yield cell, Case(model, retrain, others, non_members)


def _by_target(block: list[Cell]) -> Iterator[tuple[Run | None, list[Cell]]]:
    """Each target of the block, or None if it is missing, with its cells."""
    found: dict[str, list[Cell]] = defaultdict(list)
    for cell in block:
        found[cell.run["retrain_key"]].append(cell)
    # A retrain of another block learned other data, whatever its key says.
    here = {cell.run["job_key"] for cell in block}
    return ((own[0].target if key in here else None, own) for key, own in found.items())


def _references(block: list[Cell], reader: Reader, names: Sequence[str]) -> list[Reference]:
    """The block's reference models; none if no named metric needs them or all cells share a seed.

    Models with NaN or infinity among the logits are left out.
    """
    wanted = any(METRICS[name].by_references for name in names) and len({cell.run["seed"] for cell in block}) > 1
    chosen = [cell.run for cell in block if wanted and cell.run["method"] in TRAINED_WITHOUT]
    found = ((run, reader.read(run)) for run in chosen)
    return [Reference.of(run, predictions) for run, predictions in found if predictions.finite]


def measured(cell: Cell, case: Case, names: Sequence[str]) -> Iterator[Measured]:
    """The named METRICS of one cell, each with a value or the reason why there is none."""
    if not case.model.finite:
        yield from (Measured(cell, name, None, np.nan, "NaN or infinity among the logits") for name in names)
        return
    for name in names:
        try:
            value: Value = METRICS[name].compute(case)
        except UndefinedError as error:
            yield Measured(cell, name, None, np.nan, str(error))
            continue
        if isinstance(value, float):
            yield Measured(cell, name, None, value)
        else:
            for k, v in enumerate(value):
                yield Measured(cell, name, k, float(v), "" if np.isfinite(v) else f"no test image of class {k}")
