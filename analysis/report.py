"""One self-contained HTML page: the tables, the figure, and the command behind each row."""

import html
import io

from matplotlib.figure import Figure

from analysis.results import Run
from analysis.tables import COLUMNS, Table

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .85rem; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent);
  text-align: right; white-space: nowrap; }
th:nth-child(-n+3), td:nth-child(-n+3) { text-align: left; }
figure svg { max-width: 100%; height: auto; background: white; }
code { font-size: .8rem; }
"""


def to_html(title: str, tables: list[Table], figure: Figure | None, runs: list[Run]) -> str:
    """The whole page; it needs no network."""
    parts = [f"<h1>{html.escape(title)}</h1>", *map(_table, tables)]
    parts += [f"<h2>Average gap by augmentation</h2><figure>{_svg(figure)}</figure>"] if figure else []
    commands = sorted({run["command"] for run in runs})
    items = "".join(f"<li><code>{html.escape(command)}</code></li>" for command in commands)
    parts += [f"<details><summary>The command that repeats each row</summary><ul>{items}</ul></details>"]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _table(table: Table) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in COLUMNS)
    rows = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    return (
        f'<h2>{html.escape(table.title)}</h2><div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div><p><small>{html.escape(table.note)}</small></p>"
    )


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue().partition("<svg")[1] + buffer.getvalue().partition("<svg")[2]
