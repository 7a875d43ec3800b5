"""Pieces of the HTML page: style, sorting, tables, figures, pictures. No piece refers to anything outside the page."""

import base64
import html
import io
import re
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imsave

from salun_grid.analysis.fonts import draw
from salun_grid.analysis.tables import TEXT_COLUMNS, Table
from salun_grid.records.text import printable

STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 25%, transparent);
  --tint: color-mix(in srgb, currentColor 8%, transparent); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 90rem; margin: 1.5rem auto; padding: 0 1rem;
  overflow-wrap: anywhere; }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; line-height: 1.25; }
.lead { font-size: 1.15rem; border-left: .3rem solid; padding: .2rem 0 .2rem 1rem; }
.lead p { margin: .3rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .85rem; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap;
  vertical-align: top; }
.text { text-align: left; }
td.Verdict { min-width: 16rem; white-space: normal; font-weight: 600; }
.Command { white-space: normal; min-width: 20rem; }
tr.floor { background: var(--tint); }
th button { all: unset; cursor: pointer; font-weight: 700; }
th button:focus-visible { outline: 2px solid; }
th button::after { content: " \\2195"; opacity: .45; }
th[aria-sort=ascending] button::after { content: " \\2191"; opacity: 1; }
th[aria-sort=descending] button::after { content: " \\2193"; opacity: 1; }
figure { margin: 1rem 0; }
p, figcaption { max-width: 60rem; }
figure .wide svg { max-width: 100%; height: auto; min-width: 32rem; display: block; }
figure text { fill: currentColor; }
figcaption, small { font-size: .8rem; }
.pictures { display: flex; flex-wrap: wrap; gap: .75rem; }
.pictures figure { width: 5.5rem; margin: 0; }
.pictures img { width: 5.5rem; image-rendering: pixelated; border: 1px solid var(--line); }
nav { font-size: .9rem; } nav a { margin-right: 1rem; }
code { font-size: .8rem; }
@media (max-width: 40rem) {
  table, thead, tbody, tr, td { display: block; }
  thead tr { display: flex; flex-wrap: wrap; }
  thead tr::before { content: "Sort by:"; padding: .25rem .3rem .25rem 0; }
  th { border: 0; padding: .25rem .3rem; min-width: 0; }
  tbody tr { padding: .6rem; border: 1px solid var(--line); margin-bottom: .75rem; }
  td, td.Verdict { text-align: left; white-space: normal; border: 0; padding: .05rem 0; min-width: 0; }
  td::before { content: attr(data-label) ": "; opacity: .7; font-weight: 400; }
  td br { display: none; }
}
"""

# A browser then fetches nothing, whatever a name in the results may hold.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"

# Sorts a table by a column: by the number that a cell begins with where there is one, else by its text, as dates are.
SCRIPT = """
document.addEventListener("click", event => {
  const button = event.target.closest("th button");
  if (!button) return;
  const head = button.parentElement, table = head.closest("table"), column = head.cellIndex;
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const value = row => {
    const text = row.cells[column].textContent.trim();
    const number = /^\\d{4}-\\d\\d-/.test(text) ? NaN : parseFloat(text.replace(/^</, ""));
    return [Number.isNaN(number), Number.isNaN(number) ? text : number];
  };
  const rows = [...table.tBodies[0].rows].map((row, place) => [value(row), place, row]);
  rows.sort(([a, i], [b, j]) => {
    if (a[0] !== b[0]) return a[0] - b[0];
    const order = a[0] ? a[1].localeCompare(b[1]) : a[1] - b[1];
    return (down ? -order : order) || i - j;
  });
  table.tBodies[0].append(...rows.map(entry => entry[2]));
});
"""


def document(title: str, parts: Sequence[str]) -> str:
    """The whole page."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body>{''.join(parts)}<script>{SCRIPT}</script></body></html>\n"
    )


def paragraph(text: str) -> str:
    return f"<p>{html.escape(printable(text))}</p>"


def table_html(table: Table, floors: Sequence[str] = ()) -> str:
    """A sortable table with its note; on a phone each row is a card. Rows of the methods in `floors` are tinted."""
    kinds = [_kind(name) for name in table.columns]
    head = "".join(
        f'<th scope="col"{kind}><button type="button">{html.escape(name)}</button></th>'
        for name, kind in zip(table.columns, kinds, strict=True)
    )
    labels = [f' data-label="{html.escape(name)}"' for name in table.columns]
    body = ""
    for row in table.rows:
        cells = "".join(
            f"<td{kind}{label}>{_cell(cell)}</td>" for cell, kind, label in zip(row, kinds, labels, strict=True)
        )
        body += f'<tr class="floor">{cells}</tr>' if set(row) & set(floors) else f"<tr>{cells}</tr>"
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        f"<p><small>{html.escape(table.note)}</small></p>"
    )


def _cell(text: str) -> str:
    """A cell's text; an interval, or the gaps in brackets, stand on a line below their value."""
    whole = html.escape(text).replace("n = ", "n&nbsp;=&nbsp;")
    return re.sub(r"(?<=\d) (?=[\[(][+−-]?\d)", " <br>", whole)


def _kind(name: str) -> str:
    """The class attribute of a column: text stands left, and some columns wrap."""
    wrapping = name in ("Verdict", "Command")
    return f' class="text{f" {name}" * wrapping}"' if name in (*TEXT_COLUMNS, "Command", "Device", "Versions") else ""


def figures_html(figures: Sequence[Figure], name: str, caption: str) -> list[str]:
    """Each of the figures; the caption stands below the last."""
    names = [f"{name}, page {i}" if i > 1 else name for i in range(1, len(figures) + 1)]
    captions = [*[""] * (len(figures) - 1), caption]
    return [figure_html(*each) for each in zip(figures, names, captions, strict=True)]


def figure_html(figure: Figure, name: str, caption: str) -> str:
    """The figure as inline SVG in the page's own ink, so that it reads in light and dark."""
    return (
        f'<figure><div class="wide" role="img" aria-label="{html.escape(name)}">{_svg(figure, name)}</div>'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def _svg(figure: Figure, name: str) -> str:
    buffer = io.StringIO()
    # A salt of its own keeps the ids of two figures on one page apart, and the same from run to run.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        draw(figure, buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace("#000000", "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    used = set(re.findall(r"(?:url\(#|href=\"#)([^\")]+)", text))
    return re.sub(r' id="([^"]+)"', lambda match: match[0] if match[1] in used else "", text)


def picture_html(image: np.ndarray, caption: str) -> str:
    """A picture of uint8 (H, W, 1 or 3) with its caption, as a data URI."""
    buffer = io.BytesIO()
    imsave(buffer, np.repeat(image, 4 - image.shape[-1], axis=-1) if image.shape[-1] == 1 else image, format="png")
    data = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{html.escape(caption)}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )
