"""Tables 1, 2, … in the paper's shape: one for each forget set, each value with its gap to the retrain."""

import csv
import io
import math
import re
import shutil
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from salun_grid.analysis.gaps import AVERAGES, FLOORS, METRICS, Summary
from salun_grid.analysis.rte import Signs, device_signs, devices_note, rte_cell
from salun_grid.analysis.statistics import Spread
from salun_grid.analysis.verdicts import Verdict, rules
from salun_grid.records.forget_label import forget_name, forget_order
from salun_grid.records.text import spreadsheet_cell

TEXT_COLUMNS = ("Dataset", "Augmentation", "Method", "Forget", "Verdict")
COLUMNS = ["Dataset", "Augmentation", "Method", "UA", "RA", "TA", "MIA", "AG", "AG3", "RTE (min)", "n"]
VERDICT_COLUMNS = ["Dataset", "Augmentation", "Method", "Forget", "Verdict", "UA gap", "RA gap", "TA gap", "MIA gap"]
VERDICT_COLUMNS += ["AG", "AG of nothing", "AG of noise", "p equal", "p better", "n"]


@dataclass(frozen=True)
class Table:
    """One printed table. `rows` are text, one cell for each of `columns`."""

    title: str
    rows: list[list[str]]
    note: str
    columns: tuple[str, ...] = tuple(COLUMNS)


def make_tables(summaries: list[Summary], provenance: str, remarks: str = "") -> list[Table]:
    """One table for each protocol and forget set, numbered from 1. `remarks` name what is missing."""
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


def verdict_table(verdicts: list[Verdict], provenance: str, remarks: str = "") -> Table:
    """What the results support for each method, with the gaps and the p values behind it."""
    margin = verdicts[0].margin if verdicts else 0
    note = (
        "Percentage points; gap: mean signed gap to the retrain of the same seed with its 95 % Student interval over "
        "n seeds; AG of nothing, of noise: that of `original` and of `retrain-again` over the same seeds; p: "
        "Holm-corrected, so no interval here stands for it (a TOST alone asks for 90 % intervals within the margin). "
        f"{rules(margin)} {_without_floors([v.summary for v in verdicts])}{provenance} {remarks}"
    )
    rows = [_verdict_row(verdict) for verdict in verdicts]
    return Table(f"Verdicts at ±{margin:g} percentage points", rows, note.strip(), tuple(VERDICT_COLUMNS))


def _verdict_row(verdict: Verdict) -> list[str]:
    summary = verdict.summary
    group = summary.group
    size = f"{group.dataset} {group.image_size}px, {group.protocol}"
    measured = [with_interval(summary.signed[m], sign="+") if summary.signed else "–" for m in METRICS]
    averages = [with_interval(a) if a else "missing" for a in (summary.gaps.get("ag"), verdict.nothing, verdict.noise)]
    chances = [_p_value(p) for p in (verdict.equivalence_p, verdict.benefit_p)]
    place = [size, group.augmentation, summary.method, forget_name(group.forget), verdict.text]
    return [*place, *measured, *averages, *chances, str(verdict.n)]


def _p_value(p: float) -> str:
    if math.isnan(p):
        return "–"
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _note(summaries: list[Summary], signs: Signs, provenance: str, remarks: str) -> str:
    return (
        "Percent; mean ± sample standard deviation over n seeds; in brackets the gap to the retrain of the same seed, "
        "mean signed; mean absolute. AG averages the absolute gaps of UA RA TA MIA, AG3 those of UA TA MIA, each with "
        f"its 95 % Student interval. RTE: mask + training or unlearning. {devices_note(signs)} "
        f"{_without_floors(summaries)}{provenance} {remarks}"
    ).strip()


def _without_floors(summaries: list[Summary]) -> str:
    """Says which of the two floors these rows do not have, since no gap means much without them."""
    found = {summary.method for summary in summaries}
    return "".join(f"No row of {name} is here. " for method, name in FLOORS.items() if method not in found)


def _row(summary: Summary, signs: Signs) -> list[str]:
    group = summary.group
    size = f"{group.dataset} {group.image_size}px"
    gaps, signed = ({}, {}) if summary.method == "retrain" else (summary.gaps, summary.signed)
    values = [with_gap(summary.values[metric], signed.get(metric), gaps.get(metric)) for metric in METRICS]
    without = "–" if summary.method == "retrain" else "no retrain"
    averages = [with_interval(gaps[name]) if gaps else without for name in AVERAGES]
    return [size, group.augmentation, summary.method, *values, *averages, rte_cell(summary, signs), count(summary)]


def count(summary: Summary) -> str:
    """n seeds, and how many of them have their retrain where not all do."""
    n, paired = len(summary.seeds), len(summary.ag_by_seed)
    return str(n) if paired in (0, n) else f"{n} ({paired} paired)"


def plus_minus(value: Spread, digits: int = 2) -> str:
    """`1.23 ± 0.45`, or `1.23` for one value."""
    mean = f"{value.mean:.{digits}f}"
    return mean if math.isnan(value.sd) else f"{mean} ± {value.sd:.{digits}f}"


def with_gap(value: Spread, signed: Spread | None, gap: Spread | None) -> str:
    """The value with its signed and absolute gap in brackets; no brackets where there is no retrain."""
    if signed is None or gap is None:
        return plus_minus(value)
    return f"{plus_minus(value)} ({signed.mean:+.2f}; {gap.mean:.2f})"


def with_interval(value: Spread, sign: str = "") -> str:
    """`1.23 [0.80, 1.66]`, or `1.23` for one value; `sign="+"` writes the sign of positive numbers too."""
    mean = f"{value.mean:{sign}.2f}"
    low, high = value.interval
    return mean if math.isnan(low) else f"{mean} [{low:{sign}.2f}, {high:{sign}.2f}]"


def provenance_of(runs: list[dict]) -> str:
    """One sentence with the hardware and the versions behind some rows."""

    def distinct(column: str) -> str:
        return ", ".join(sorted({run[column] for run in runs}))

    return (
        f"{len(runs)} rows on {distinct('device_name')}; salun-grid {distinct('code_version')}, "
        f"torch {distinct('torch_version')}, ray {distinct('ray_version')}."
    )


# --- output formats ---------------------------------------------------------------------------------------


UNLIMITED = Console(file=io.StringIO(), width=1000)


def to_terminal(tables: list[Table]) -> str:
    """Tables of rich; where the terminal is too narrow, a value's ± and gap go to lines of their own."""
    console = Console(file=io.StringIO(), width=max(80, shutil.get_terminal_size((200, 24)).columns))
    for table in tables:
        box = _box(table)
        if UNLIMITED.measure(box).maximum > console.width:
            box = _box(table, _stacked)
            # What does not fit even so spills over: a number cut short would be a wrong number.
            console.width = max(console.width, UNLIMITED.measure(box).maximum)
        console.print(box, crop=False)
        console.print()
    return console.file.getvalue()  # type: ignore[attr-defined]


def _stacked(cell: str) -> str:
    for short, tall in (
        (" ± ", "\n±"),
        (" (", "\n("),
        ("; ", ";\n"),
        (" [", "\n["),
        ("Augmentation", "Augmen-\ntation"),
        (" ", "\n"),
    ):
        cell = cell.replace(short, tall)
    return re.sub(r"(?<=\w)-(?=[^\W\d])", "-\n", cell)  # a hyphen, not a minus


def _box(table: Table, stack: Callable[[str], str] = str) -> RichTable:
    box = RichTable(title=escape(table.title), title_justify="left", caption=escape(table.note), caption_justify="left")
    box.padding, box.box = (0, 1, 0, 0), SIMPLE_HEAD
    for name in table.columns[1:]:
        box.add_column(
            stack(name),
            justify="left" if name in TEXT_COLUMNS else "right",
            no_wrap=name != "Verdict",
            min_width=24 if name == "Verdict" else None,
        )
    dataset = None
    for previous, row in zip([None, *table.rows], table.rows, strict=False):
        if row[0] != dataset:
            dataset = row[0]
            box.add_section()
            box.add_row(f"[bold]{escape(stack(dataset))}[/bold]")
        elif previous and previous[:2] != row[:2]:
            box.add_section()
        cells = zip(table.columns[1:], row[1:], strict=True)
        box.add_row(*(escape(cell if name == "Verdict" else stack(cell)) for name, cell in cells))
    return box


def to_markdown(tables: list[Table]) -> str:
    lines = []
    for table in tables:
        lines += [f"### {_markdown(table.title)}", "", f"| {' | '.join(table.columns)} |"]
        lines += [f"|{'|'.join('---' if name in TEXT_COLUMNS else '---:' for name in table.columns)}|"]
        lines += [f"| {' | '.join(map(_markdown, row))} |" for row in table.rows]
        lines += ["", _markdown(table.note), ""]
    return "\n".join(lines)


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*\[\]<>|#~$])", r"\\\1", text)


def to_csv(tables: list[Table]) -> str:
    """All tables below one header; they must have the same columns. Text that a spreadsheet would execute is quoted."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["Table", *tables[0].columns])
    writer.writerows(map(spreadsheet_cell, [table.title, *row]) for table in tables for row in table.rows)
    return buffer.getvalue()


def to_latex(tables: list[Table]) -> str:
    """`table` environments for booktabs."""
    lines = []
    for table in tables:
        lines += [
            r"\begin{table}",
            rf"\caption{{{_latex(table.title)}}}",
            rf"\begin{{tabular}}{{{''.join('l' if name in TEXT_COLUMNS else 'r' for name in table.columns)}}}",
            r"\toprule",
        ]
        lines += [" & ".join(map(_latex, table.columns)) + r" \\", r"\midrule"]
        lines += [" & ".join(map(_latex, row)) + r" \\" for row in table.rows]
        lines += [r"\bottomrule", r"\end{tabular}", rf"\par\small {_latex(table.note)}", r"\end{table}", ""]
    return "\n".join(lines)


def _latex(text: str) -> str:
    words = {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "±": r"$\pm$"}
    return "".join(words.get(sign, f"\\{sign}" if sign in "%_&#{}$" else sign) for sign in text)


FORMATS: dict[str, Callable[[list[Table]], str]] = {
    "terminal": to_terminal,
    "markdown": to_markdown,
    "csv": to_csv,
    "latex": to_latex,
}
