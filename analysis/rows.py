"""Validation of the rows of `runs`: invalid ones are named, with the reason, and left out."""

import json
import warnings
from collections.abc import Iterable
from typing import Any

from salun_grid.records.errors import ResultsWarning
from salun_grid.records.forget_label import RANDOM, is_forget_label, random_label
from salun_grid.records.schemas import ROLES, RUNS

Run = dict[str, Any]
JSON_COLUMNS = ("protocol_json", "method_params", "seeds")
REQUIRED = tuple(field.name for field in RUNS if not field.nullable)


def sound(runs: Iterable[Run], absent: frozenset[str]) -> list[Run]:
    """The valid rows; a ResultsWarning names each other one. `absent` are columns that its version lacks."""
    kept = []
    for run in map(completed, runs):
        if why := flaw(run, absent):
            named = f"row {run.get('job_key') or 'without a job_key'} of {run.get('method') or 'no method'}"
            warnings.warn(f"{named} is left out: {why}.", ResultsWarning, stacklevel=2)
        else:
            kept.append(run)
    return kept


def completed(run: Run) -> Run:
    """The row with role and forget set, which older versions express as method and forget rate."""
    filled: Run = {}
    if run["role"] is None:
        filled["role"] = ROLES.get(run["method"], "method")
    if run["forget"] is None and run["forget_rate"] is not None:
        filled |= {"forget": random_label(run["forget_rate"]), "forget_rule": RANDOM}
    return run | filled


def flaw(run: Run, absent: frozenset[str]) -> str:
    """What is wrong with a row, or ""."""
    for name in REQUIRED:
        if run[name] is None and name not in absent:
            return f"{name} is null"
    if not is_forget_label(run["forget"]):
        return f"forget is {run['forget']!r}, which is no RULE:PARAMETER"
    for name in JSON_COLUMNS:
        try:
            if not isinstance(json.loads(run[name]), dict):
                return f"{name} is no JSON object"
        except (ValueError, RecursionError):
            return f"{name} is no JSON"
    return ""
