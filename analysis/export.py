"""One tidy CSV: a line for each run and metric, with the retrain's value and the signed gap beside it."""

import csv
import io
import math
from collections.abc import Iterable

from salun_grid.analysis.catalogue import METRICS as FROM_PREDICTIONS
from salun_grid.analysis.evidence import Measured
from salun_grid.analysis.gaps import AVERAGES, METRICS, gaps, paired
from salun_grid.analysis.results import Run
from salun_grid.records.text import spreadsheet_cell

CELL: tuple[str, ...] = ("study", "dataset", "image_size", "model", "protocol", "augmentation", "forget", "seed")
CELL += ("method", "method_params", "job_key", "retrain_key", "device_name", "num_workers")
COLUMNS = (*CELL, "metric", "unit", "element", "value", "retrain_value", "signed_gap", "reason", "note")
SECONDS = ("seconds_total", "seconds_mask", "seconds_train", "seconds_eval", "seconds_compile", "seconds_load")
BYTES = ("memory_train", "memory_eval", "device_memory_train", "device_memory_eval")


def tidy_csv(runs: list[Run], measured: Iterable[Measured] = ()) -> str:
    """`value` is empty where there is none, and `reason` says why; `element` is the class of a per-class metric.

    AG and AG3 are absolute and have no retrain's value. An apostrophe precedes text that a spreadsheet would execute.
    """
    values = [*_from_runs(runs), *measured]
    by_key = {(one.run["job_key"], one.metric, one.element): one.value for one in values}
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in values:
        retrain = math.nan
        if one.metric not in AVERAGES:
            retrain = by_key.get((one.run["retrain_key"], one.metric, one.element), math.nan)
        numbers = [_number(value) for value in (one.value, retrain, one.value - retrain)]
        element = "" if one.element is None else one.element
        cell = [spreadsheet_cell(str(one.run[column])) for column in CELL]
        note = spreadsheet_cell(one.run["note"] or "")
        writer.writerow([*cell, one.metric, _unit(one.metric), element, *numbers, one.reason, note])
    return buffer.getvalue()


def _from_runs(runs: list[Run]) -> list[Measured]:
    found = []
    for run, retrain in paired(runs):
        found += [_known(run, name) for name in (*METRICS, *SECONDS, *BYTES)]
        if retrain is None:
            found += [Measured(run, name, None, math.nan, "no retrain of this cell") for name in AVERAGES]
        else:
            own = gaps(run, retrain)
            reasons = {n: "" if math.isfinite(own[n]) else "not a number among the metrics" for n in AVERAGES}
            found += [Measured(run, name, None, own[name], reasons[name]) for name in AVERAGES]
    return found


def _known(run: Run, name: str) -> Measured:
    """A column of the row; an older version's row lacks some, and memory is not always known."""
    if run[name] is None:
        why = "not known" if name in BYTES else "not in rows of this schema version"
        return Measured(run, name, None, math.nan, why)
    return Measured(run, name, None, run[name], "" if math.isfinite(run[name]) else "not a number in its row")


def _unit(metric: str) -> str:
    if metric in FROM_PREDICTIONS:
        return FROM_PREDICTIONS[metric].unit
    return "seconds" if metric in SECONDS else "bytes" if metric in BYTES else "percent"


def _number(value: float) -> str:
    return "" if math.isnan(value) else repr(float(value))
