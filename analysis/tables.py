"""Tables 1, 2, … in the paper's shape: one for each forget rate, each value with its gap to the retrain."""

import csv
import io
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from analysis.gaps import AVERAGES, METRICS, Spread, Summary, percent

COLUMNS = ["Dataset", "Augmentation", "Method", "UA", "RA", "TA", "MIA", "AG", "AG3", "RTE (min)", "n"]


@dataclass(frozen=True)
class Table:
    """One printed table. `rows` are text, one cell for each of COLUMNS."""

    title: str
    rows: list[list[str]]
    note: str


def make_tables(summaries: list[Summary], provenance: str) -> list[Table]:
    """One table for each protocol and forget rate, numbered from 1."""
    sections = sorted({(s.group.protocol, s.group.forget_rate) for s in summaries})
    tables = []
    for number, (protocol, rate) in enumerate(sections, start=1):
        chosen = [s for s in summaries if (s.group.protocol, s.group.forget_rate) == (protocol, rate)]
        title = f"Table {number}. Forget rate {percent(rate)}, protocol {protocol}"
        tables.append(Table(title, [_row(summary) for summary in chosen], _note(provenance)))
    return tables


def _note(provenance: str) -> str:
    return (
        "Percent; mean ± sample standard deviation over n seeds; in brackets the mean absolute gap to the "
        "retrain of the same seed. AG averages the gaps of UA RA TA MIA, AG3 those of UA TA MIA. RTE: mask + "
        f"training or unlearning. {provenance}"
    )


def _row(summary: Summary) -> list[str]:
    group = summary.group
    size = f"{group.dataset} {group.image_size}px"
    gaps = {} if summary.method == "retrain" else summary.gaps
    values = [with_gap(summary.values[metric], gaps.get(metric)) for metric in METRICS]
    without = "–" if summary.method == "retrain" else "no retrain"
    averages = [plus_minus(gaps[name]) if gaps else without for name in AVERAGES]
    rte = summary.seconds_total
    minutes = plus_minus(Spread(rte.mean / 60, rte.sd / 60, rte.n), digits=3)
    n, paired = len(summary.seeds), len(summary.ag_by_seed)
    count = str(n) if paired in (0, n) else f"{n} ({paired} paired)"
    return [size, group.augmentation, summary.method, *values, *averages, minutes, count]


def plus_minus(value: Spread, digits: int = 2) -> str:
    """`1.23 ± 0.45`, or `1.23` for one value."""
    mean = f"{value.mean:.{digits}f}"
    return mean if math.isnan(value.sd) else f"{mean} ± {value.sd:.{digits}f}"


def with_gap(value: Spread, gap: Spread | None) -> str:
    """The value with its gap in brackets; no brackets where there is no retrain."""
    return plus_minus(value) if gap is None else f"{plus_minus(value)} ({gap.mean:.2f})"


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
        ("-", "-\n"),
        ("Augmentation", "Augmen-\ntation"),
        (" ", "\n"),
    ):
        cell = cell.replace(short, tall)
    return cell


def _box(table: Table, stack: Callable[[str], str] = str) -> RichTable:
    box = RichTable(title=escape(table.title), title_justify="left", caption=escape(table.note), caption_justify="left")
    box.padding, box.box = (0, 1, 0, 0), SIMPLE_HEAD
    for i, name in enumerate(COLUMNS[1:]):
        box.add_column(stack(name), justify="left" if i < 2 else "right", no_wrap=True)
    dataset = None
    for previous, row in zip([None, *table.rows], table.rows, strict=False):
        if row[0] != dataset:
            dataset = row[0]
            box.add_section()
            box.add_row(f"[bold]{escape(stack(dataset))}[/bold]")
        elif previous and previous[:2] != row[:2]:
            box.add_section()
        box.add_row(*map(escape, map(stack, row[1:])))
    return box


def to_markdown(tables: list[Table]) -> str:
    lines = []
    for table in tables:
        lines += [f"### {_markdown(table.title)}", "", f"| {' | '.join(COLUMNS)} |"]
        lines += [f"|{'|'.join(['---'] * 3 + ['---:'] * (len(COLUMNS) - 3))}|"]
        lines += [f"| {' | '.join(map(_markdown, row))} |" for row in table.rows]
        lines += ["", _markdown(table.note), ""]
    return "\n".join(lines)


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*\[\]<>|#~$])", r"\\\1", text)


def to_csv(tables: list[Table]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["Table", *COLUMNS])
    writer.writerows([table.title, *row] for table in tables for row in table.rows)
    return buffer.getvalue()


def to_latex(tables: list[Table]) -> str:
    """`table` environments for booktabs."""
    lines = []
    for table in tables:
        lines += [
            r"\begin{table}",
            rf"\caption{{{_latex(table.title)}}}",
            r"\begin{tabular}{lllrrrrrrrr}",
            r"\toprule",
        ]
        lines += [" & ".join(map(_latex, COLUMNS)) + r" \\", r"\midrule"]
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
