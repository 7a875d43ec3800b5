"""Tables 1, 2, … in the paper's shape: one for each forget rate, each value with its gap to the retrain."""

import csv
import io
import math
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table as RichTable

from analysis.gaps import AVERAGES, METRICS, Spread, Summary

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
        title = f"Table {number}. Forget rate {rate:.0%}, protocol {protocol}"
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
    size = f"{group.dataset} {group.image_size} px"
    values = [with_gap(summary.values[metric], summary.gaps.get(metric)) for metric in METRICS]
    averages = [plus_minus(summary.gaps[name]) if summary.gaps else "no retrain" for name in AVERAGES]
    rte = summary.seconds_total
    minutes = plus_minus(Spread(rte.mean / 60, rte.sd / 60, rte.n), digits=3)
    return [size, group.augmentation, summary.method, *values, *averages, minutes, str(len(summary.seeds))]


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


def to_terminal(tables: list[Table]) -> str:
    """Boxes of rich, as wide as they need."""
    console = Console(file=io.StringIO(), width=200)
    for table in tables:
        box = RichTable(title=table.title, title_justify="left", caption=table.note, caption_justify="left")
        for i, name in enumerate(COLUMNS):
            box.add_column(name, justify="left" if i < 3 else "right", no_wrap=True)
        for previous, row in zip([None, *table.rows], table.rows, strict=False):
            if previous and previous[:2] != row[:2]:
                box.add_section()
            box.add_row(*row)
        console.print(box)
    return console.file.getvalue()  # type: ignore[attr-defined]


def to_markdown(tables: list[Table]) -> str:
    lines = []
    for table in tables:
        lines += [f"### {table.title}", "", f"| {' | '.join(COLUMNS)} |"]
        lines += [f"|{'|'.join(['---'] * 3 + ['---:'] * (len(COLUMNS) - 3))}|"]
        lines += [f"| {' | '.join(row)} |" for row in table.rows]
        lines += ["", table.note, ""]
    return "\n".join(lines)


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
        lines += [r"\begin{table}", rf"\caption{{{_latex(table.title)}}}", r"\begin{tabular}{lllrrrrrrrr}", r"\toprule"]
        lines += [" & ".join(map(_latex, COLUMNS)) + r" \\", r"\midrule"]
        lines += [" & ".join(map(_latex, row)) + r" \\" for row in table.rows]
        lines += [r"\bottomrule", r"\end{tabular}", rf"\par\small {_latex(table.note)}", r"\end{table}", ""]
    return "\n".join(lines)


def _latex(text: str) -> str:
    for plain, escaped in (("%", r"\%"), ("_", r"\_"), ("&", r"\&"), ("#", r"\#"), ("{", r"\{"), ("}", r"\}"), ("±", r"$\pm$")):
        text = text.replace(plain, escaped)
    return text


FORMATS: dict[str, Callable[[list[Table]], str]] = {
    "terminal": to_terminal,
    "markdown": to_markdown,
    "csv": to_csv,
    "latex": to_latex,
}
SUFFIXES = {"terminal": "txt", "markdown": "md", "csv": "csv", "latex": "tex"}
