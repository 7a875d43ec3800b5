"""Comparison of two studies, cell by cell; differences are second minus first, paired by seed."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from salun_grid.analysis.cells import Group
from salun_grid.analysis.completeness import remarks
from salun_grid.analysis.gaps import PAPER_METRICS, Summary
from salun_grid.analysis.rows import Run
from salun_grid.analysis.rte import Signs, device_signs, devices_note, rte_cell
from salun_grid.analysis.statistics import Spread, spread
from salun_grid.analysis.tables import Table, count, plus_minus, with_interval
from salun_grid.analysis.variants import Differing, differing
from salun_grid.analysis.view import Results
from salun_grid.records.errors import InputError
from salun_grid.records.forget_label import forget_name
from salun_grid.records.text import printable

COLUMNS: tuple[str, ...] = ("Dataset", "Augmentation", "Method", "Forget", "UA", "RA", "TA", "MIA")
COLUMNS += ("AG first", "AG second", "AG difference", "RTE (min)", "n")
CellKey = tuple[Group, str]


def compare(first: Results, second: Results) -> Table:
    """One row per method and cell of either study. Entries read `first | second`, with a dash for a missing value.

    Raises InputError if a study holds the same cell under two protocols or models.
    """
    disambiguated, by = first.ambiguous | second.ambiguous, _settings(first, second)
    left = _by_cell(first.named(disambiguated, by).summaries, "the first")
    right = _by_cell(second.named(disambiguated, by).summaries, "the second")
    cells = list(dict.fromkeys([*left, *right]))
    signs = device_signs([*left.values(), *right.values()])
    rows = [_row(cell, left.get(cell), right.get(cell), signs) for cell in cells]
    shared = sum(cell in left and cell in right for cell in cells)
    note = (
        "Percent and minutes, mean ± sample standard deviation over n seeds, first | second. AG difference: second "
        "minus first over the seeds that both have, with its 95 % Student interval. "
        f"{devices_note(signs)} {shared} of {len(cells)} rows are in both. {_differences(first.runs, second.runs)}"
        f"First: {first.provenance} {remarks(first.cells)} Second: {second.provenance} {remarks(second.cells)}"
    ).strip()
    return Table("Two studies", rows, note, COLUMNS)


def _settings(first: Results, second: Results) -> Differing:
    """The settings that name the variants of both folders, so that equal variants get equal names."""
    several = first.differing.keys() | second.differing.keys()
    rows = (*first.runs, *second.runs)
    return differing(("", row["method"], row["method_params"]) for row in rows if row["method"] in several)


def _by_cell(summaries: Iterable[Summary], which: str) -> dict[CellKey, Summary]:
    found: dict[CellKey, Summary] = {}
    for summary in summaries:
        group = summary.group
        cell = (group._replace(protocol="", model=""), summary.method)
        if cell in found:
            other = found[cell].group
            raise InputError(
                f"{which} folder holds {group.dataset}, {group.augmentation} under {other.protocol} ({other.model}) "
                f"and {group.protocol} ({group.model}); compare folders with one protocol and model each."
            )
        found[cell] = summary
    return found


def _row(cell: CellKey, left: Summary | None, right: Summary | None, signs: Signs) -> list[str]:
    (group, method), sides = cell, (left, right)
    values = [_both([s.values[metric] if s else None for s in sides]) for metric in PAPER_METRICS]
    averages = [with_interval(s.gaps["ag"]) if s and s.gaps and method != "retrain" else "–" for s in sides]
    rte = " | ".join(rte_cell(s, signs) if s else "–" for s in sides)
    n = " | ".join(count(s) if s else "–" for s in sides)
    name = f"{group.dataset} {group.image_size}px"
    difference = ag_difference(left, right)
    changed = with_interval(difference, sign="+") if difference else "–"
    if difference and any(difference.n < len(s.seeds) for s in sides if s):
        n += f", {difference.n} shared"
    return [name, group.augmentation, method, forget_name(group.forget), *values, *averages, changed, rte, n]


def ag_difference(left: Summary | None, right: Summary | None) -> Spread | None:
    """AG of `right` minus AG of `left` over their common seeds; None if there are none."""
    if left is None or right is None or left.method == "retrain":
        return None
    shared = [right.ag_by_seed[seed] - ag for seed, ag in left.ag_by_seed.items() if seed in right.ag_by_seed]
    return spread(shared) if shared else None


def _both(values: list[Spread | None]) -> str:
    return " | ".join(plus_minus(value) if value else "–" for value in values)


def _differences(first: Sequence[Run], second: Sequence[Run]) -> str:
    """A sentence on further differences: images of datasets with the same name, and fields of the protocols."""
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


def _fields(runs: Sequence[Run]) -> dict[str, str]:
    """The fields of the protocols by dotted name; several values are joined."""
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
            yield printable(f"{prefix}{name}"), value
