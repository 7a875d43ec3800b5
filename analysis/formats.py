"""Tables as text for a terminal, Markdown, CSV and LaTeX."""

import csv
import io
import re
import shutil
from collections.abc import Callable

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from salun_grid.analysis.tables import TEXT_COLUMNS, Table
from salun_grid.records.text import spreadsheet_cell

UNLIMITED = Console(file=io.StringIO(), width=1000)


def to_terminal(tables: list[Table]) -> str:
    """Tables for a terminal; if it is narrow, the ± and gap of a value move to separate lines."""
    console = Console(file=io.StringIO(), width=max(80, shutil.get_terminal_size((200, 24)).columns))
    for table in tables:
        box = _box(table)
        if UNLIMITED.measure(box).maximum > console.width:
            box = _box(table, _stacked)
            # A table that is still too wide overflows, because a truncated number is a wrong number.
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
            max_width=36 if name == "Verdict" else None,
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
    """All tables under one header; they must have the same columns. Text that a spreadsheet would execute is quoted."""
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
