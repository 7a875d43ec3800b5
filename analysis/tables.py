"""Tables 1, 2, … in the paper's shape: one for each forget set, each value with its gap to the retrain."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from salun_grid.analysis.gaps import AVERAGES, CONTROLS, PAPER_METRICS, Summary
from salun_grid.analysis.rte import Signs, device_signs, devices_note, rte_cell
from salun_grid.analysis.statistics import Spread
from salun_grid.records.forget_label import forget_name, forget_order

TEXT_COLUMNS = ("Dataset", "Augmentation", "Method", "Forget", "Verdict", "Protocol", "Gap")
COLUMNS = ["Dataset", "Augmentation", "Method", "UA", "RA", "TA", "MIA", "AG", "AG3", "RTE (min)", "n"]


@dataclass(frozen=True)
class Table:
    """One printed table. `rows` are text, one entry per column."""

    title: str
    rows: list[list[str]]
    note: str
    columns: tuple[str, ...] = tuple(COLUMNS)


def make_tables(summaries: Sequence[Summary], provenance: str, remarks: str = "") -> list[Table]:
    """One table per protocol and forget set, numbered from 1. `remarks` list what is missing."""
    sections: dict[tuple[str, str], list[Summary]] = defaultdict(list)
    for summary in summaries:
        sections[summary.group.protocol, summary.group.forget].append(summary)
    tables = []
    in_order = sorted(sections.items(), key=lambda section: (section[0][0], forget_order(section[0][1])))
    for number, ((protocol, forget), chosen) in enumerate(in_order, start=1):
        title = f"Table {number}. Forgetting {forget_name(forget)}, protocol {protocol}"
        signs = device_signs(chosen)
        rows = [_row(summary, signs) for summary in chosen]
        tables.append(Table(title, rows, _note(chosen, signs, provenance, remarks)))
    return tables


def _note(summaries: Sequence[Summary], signs: Signs, provenance: str, remarks: str) -> str:
    return (
        "Percent; mean ± sample standard deviation over n seeds; in brackets the gap to the retrain of the same seed, "
        "mean signed; mean absolute. AG averages the absolute gaps of UA RA TA MIA, AG3 those of UA TA MIA, each with "
        f"its 95 % Student interval. RTE: mask + training or unlearning. {devices_note(signs)} "
        f"{_without_controls(summaries)}{provenance} {remarks}"
    ).strip()


def _without_controls(summaries: Sequence[Summary]) -> str:
    """Name the controls missing from these rows, because a gap means little without them."""
    found = {summary.method for summary in summaries}
    return "".join(f"No row of {name} is here. " for method, name in CONTROLS.items() if method not in found)


def _row(summary: Summary, signs: Signs) -> list[str]:
    group = summary.group
    size = f"{group.dataset} {group.image_size}px"
    gaps, signed = ({}, {}) if summary.method == "retrain" else (summary.gaps, summary.signed)
    values = [with_gap(summary.values[metric], signed.get(metric), gaps.get(metric)) for metric in PAPER_METRICS]
    without = "–" if summary.method == "retrain" else "no retrain"
    averages = [with_interval(gaps[name]) if gaps else without for name in AVERAGES]
    return [size, group.augmentation, summary.method, *values, *averages, rte_cell(summary, signs), count(summary)]


def count(summary: Summary) -> str:
    """The number of seeds, and how many have a retrain if not all do."""
    n, paired = len(summary.seeds), len(summary.ag_by_seed)
    return str(n) if paired in (0, n) else f"{n} ({paired} paired)"


def plus_minus(value: Spread, digits: int = 2) -> str:
    """`1.23 ± 0.45`, or `1.23` for one value."""
    mean = f"{value.mean:.{digits}f}"
    return mean if math.isnan(value.sd) else f"{mean} ± {value.sd:.{digits}f}"


def with_gap(value: Spread, signed: Spread | None, gap: Spread | None) -> str:
    """The value with its signed and absolute gap in brackets; without brackets if there is no retrain."""
    if signed is None or gap is None:
        return plus_minus(value)
    return f"{plus_minus(value)} ({signed.mean:+.2f}; {gap.mean:.2f})"


def with_interval(value: Spread, sign: str = "") -> str:
    """`1.23 [0.80, 1.66]`, or `1.23` for one value; `sign="+"` writes the sign of positive numbers too."""
    mean = f"{value.mean:{sign}.2f}"
    low, high = value.interval
    return mean if math.isnan(low) else f"{mean} [{low:{sign}.2f}, {high:{sign}.2f}]"
