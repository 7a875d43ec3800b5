"""Tidy CSV: one row per run and metric, with the retrain's value and the signed gap."""

import csv
import io
import math
from collections.abc import Iterable

from salun_grid.analysis.catalogue import METRICS as FROM_PREDICTIONS
from salun_grid.analysis.cells import Cell
from salun_grid.analysis.evidence import Measured
from salun_grid.analysis.gaps import AVERAGES, PAPER_METRICS, gaps
from salun_grid.records.text import spreadsheet_cell

CELL: tuple[str, ...] = ("study", "dataset", "image_size", "model", "protocol", "augmentation", "forget", "seed")
CELL += ("method", "method_params", "job_key", "retrain_key", "device_name", "num_workers")
COLUMNS = (*CELL, "metric", "unit", "element", "value", "retrain_value", "signed_gap", "reason", "note")
SECONDS = ("seconds_total", "seconds_mask", "seconds_train", "seconds_eval", "seconds_compile", "seconds_load")
BYTES = ("memory_train", "memory_eval", "device_memory_train", "device_memory_eval")


def tidy_csv(cells: Iterable[Cell], measured: Iterable[Measured] = ()) -> str:
    """A missing `value` is empty, and `reason` says why; `element` is the class of a per-class metric.

    AG and AG3 are absolute and have no value for the retrain. Text that a spreadsheet would execute gets a leading
    apostrophe.
    """
    values = [*_from_runs(cells), *measured]
    by_key = {(one.cell.run["job_key"], one.metric, one.element): one.value for one in values}
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in values:
        retrain = math.nan
        if one.metric not in AVERAGES:
            retrain = by_key.get((one.cell.run["retrain_key"], one.metric, one.element), math.nan)
        numbers = [_number(value) for value in (one.value, retrain, one.value - retrain)]
        element = "" if one.element is None else one.element
        labels = [spreadsheet_cell(str(one.cell.run[column])) for column in CELL]
        note = spreadsheet_cell(one.cell.run["note"] or "")
        writer.writerow([*labels, one.metric, _unit(one.metric), element, *numbers, one.reason, note])
    return buffer.getvalue()


def _from_runs(cells: Iterable[Cell]) -> list[Measured]:
    found = []
    for cell in cells:
        found += [_known(cell, name) for name in (*PAPER_METRICS, *SECONDS, *BYTES)]
        if cell.target is None:
            found += [Measured(cell, name, None, math.nan, "no retrain of this cell") for name in AVERAGES]
        else:
            own = gaps(cell.run, cell.target)
            reasons = {n: "" if math.isfinite(own[n]) else "not a number among the metrics" for n in AVERAGES}
            found += [Measured(cell, name, None, own[name], reasons[name]) for name in AVERAGES]
    return found


def _known(cell: Cell, name: str) -> Measured:
    """A column of the row, or empty if an older schema lacks it or the value is unknown."""
    value = cell.run[name]
    if value is None:
        why = "not known" if name in BYTES else "not in rows of this schema version"
        return Measured(cell, name, None, math.nan, why)
    return Measured(cell, name, None, value, "" if math.isfinite(value) else "not a number in its row")


def _unit(metric: str) -> str:
    if metric in FROM_PREDICTIONS:
        return FROM_PREDICTIONS[metric].unit
    return "seconds" if metric in SECONDS else "bytes" if metric in BYTES else "percent"


def _number(value: float) -> str:
    return "" if math.isnan(value) else repr(float(value))
