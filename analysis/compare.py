"""Two studies side by side, cell by cell; differences are second minus first, paired by seed."""

import json
import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from analysis.completeness import remarks
from analysis.errors import ResultsError
from analysis.gaps import METRICS, Group, Summary, labelling, percent, summarise
from analysis.results import Run
from analysis.statistics import Spread, spread
from analysis.tables import Table, count, plus_minus, provenance_of, with_interval

COLUMNS: tuple[str, ...] = ("Dataset", "Augmentation", "Method", "Forget", "UA", "RA", "TA", "MIA")
COLUMNS += ("AG first", "AG second", "AG difference", "RTE (min)", "n")
Place = tuple[Group, str]


def compare(first: list[Run], second: list[Run]) -> Table:
    """One row for each method and cell of either study; `first | second` in a cell, a dash where one has none.

    Raises ResultsError where a study holds one cell under two protocols or models.
    """
    told_apart = _several(first) | _several(second)
    left, right = _by_place(first, "the first", told_apart), _by_place(second, "the second", told_apart)
    places = list(dict.fromkeys([*left, *right]))
    rows = [_row(place, left.get(place), right.get(place)) for place in places]
    shared = sum(place in left and place in right for place in places)
    note = (
        "Percent and minutes, mean ± sample standard deviation over n seeds, first | second. AG difference: second "
        "minus first over the seeds that both have, with its 95 % Student interval. "
        f"{shared} of {len(places)} rows are in both. {_differences(first, second)}"
        f"First: {provenance_of(first)} {remarks(first)} Second: {provenance_of(second)} {remarks(second)}"
    ).strip()
    return Table("Two studies", rows, note, COLUMNS)


def _several(runs: list[Run]) -> set[str]:
    """Names of datasets and methods that stand for several here: with other images, or with other parameters."""
    label, found = labelling(runs), set()
    for run in runs:
        group, method = label(run)
        found |= {run[column] for column, own in (("dataset", group.dataset), ("method", method)) if run[column] != own}
    return found


def _by_place(runs: list[Run], which: str, told_apart: set[str]) -> dict[Place, Summary]:
    found: dict[Place, Summary] = {}
    for summary in summarise(runs, told_apart):
        group = summary.group
        place = (group._replace(protocol="", model=""), summary.method)
        if place in found:
            other = found[place].group
            raise ResultsError(
                f"{which} folder holds {group.dataset}, {group.augmentation} under {other.protocol} ({other.model}) "
                f"and {group.protocol} ({group.model}); compare folders with one protocol and model each."
            )
        found[place] = summary
    return found


def _row(place: Place, left: Summary | None, right: Summary | None) -> list[str]:
    (group, method), sides = place, (left, right)
    values = [_both([s.values[metric] if s else None for s in sides]) for metric in METRICS]
    averages = [with_interval(s.gaps["ag"]) if s and s.gaps and method != "retrain" else "–" for s in sides]
    minutes = _both([_minutes(s.seconds_total) if s else None for s in sides], digits=3)
    n = " | ".join(count(s) if s else "–" for s in sides)
    name = f"{group.dataset} {group.image_size}px"
    difference = ag_difference(left, right)
    changed = with_interval(difference, sign="+") if difference else "–"
    if difference and any(difference.n < len(s.seeds) for s in sides if s):
        n += f", {difference.n} shared"
    return [name, group.augmentation, method, percent(group.forget_rate), *values, *averages, changed, minutes, n]


def ag_difference(left: Summary | None, right: Summary | None) -> Spread | None:
    """AG of `right` minus AG of `left`, over the seeds that both have; None where there is none."""
    if left is None or right is None or left.method == "retrain":
        return None
    shared = [right.ag_by_seed[seed] - ag for seed, ag in left.ag_by_seed.items() if seed in right.ag_by_seed]
    return spread(shared) if shared else None


def _both(values: list[Spread | None], digits: int = 2) -> str:
    return " | ".join(plus_minus(value, digits) if value else "–" for value in values)


def _minutes(seconds: Spread) -> Spread:
    return Spread(seconds.mean / 60, seconds.sd / 60 if not math.isnan(seconds.sd) else math.nan, seconds.n)


def _differences(first: list[Run], second: list[Run]) -> str:
    """What else differs between the two: pixels of one dataset name, and fields of the protocols."""
    found, sides = [], (first, second)
    prints: list[dict[tuple, set]] = [defaultdict(set), defaultdict(set)]
    for held, runs in zip(prints, sides, strict=True):
        for run in runs:
            held[run["dataset"], run["image_size"]].add(run["dataset_fingerprint"])
    for dataset, size in sorted(prints[0].keys() & prints[1].keys()):
        if prints[0][dataset, size].isdisjoint(prints[1][dataset, size]):
            found.append(f"{dataset} {size}px holds other images")
    fields = [_fields(runs) for runs in sides]
    for name in sorted(fields[0].keys() | fields[1].keys()):
        values = [side.get(name, "–") for side in fields]
        if values[0] != values[1]:
            found.append(f"{name} {values[0]} | {values[1]}")
    return f"They differ in: {'; '.join(found)}. " if found else ""


def _fields(runs: list[Run]) -> dict[str, str]:
    """Each field of the protocols by its dotted name; several values are joined."""
    values: dict[str, dict[str, None]] = {}
    for text in sorted({run["protocol_json"] for run in runs}):
        for name, value in _flat(json.loads(text)):
            values.setdefault(name, {})[json.dumps(value)] = None
    return {name: "/".join(found) for name, found in values.items()}


def _flat(node: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
