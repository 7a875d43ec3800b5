"""The HTML page as data, and its rendering by `templates/`. The page is self-contained."""

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import matplotlib as mpl
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.image import imsave

from salun_grid.analysis.fonts import draw
from salun_grid.analysis.tables import TEXT_COLUMNS, Table
from salun_grid.records.text import printable

LEFT_ALIGNED = (*TEXT_COLUMNS, "Command", "Device", "Versions")
WRAPPING = ("Verdict", "Command")
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Drawing:
    """A figure as SVG, with its name for screen readers and its caption."""

    svg: Markup
    name: str
    caption: str


@dataclass(frozen=True)
class Picture:
    """An image as base64 of a PNG, with its caption."""

    png: str
    caption: str


@dataclass(frozen=True)
class Section:
    """A heading and its content, in the order of the fields; each may be empty.

    `folded` is the summary of a collapsed table. Rows of the methods in `controls` are tinted. `parts` are
    subsections.
    """

    title: str = ""
    paragraphs: Sequence[str] = ()
    folded: str = ""
    table: Table | None = None
    controls: Sequence[str] = ()
    drawings: Sequence[Drawing] = ()
    pictures: Sequence[Picture] = ()
    parts: "Sequence[Section]" = ()


@dataclass(frozen=True)
class Page:
    """The whole page. `state` is the progress of the studies, `lead` the verdicts, `remarks` their limits."""

    title: str
    state: Sequence[str]
    lead: Sequence[str]
    remarks: Sequence[str]
    sections: Sequence[Section]


def render(page: Page) -> str:
    """The page as HTML. All text is escaped, except the SVG of a Drawing."""
    return templates().get_template("page.html").render(page=page)


@cache
def templates() -> Environment:
    """The templates with their filters: autoescape is on, and an undefined name raises jinja2.UndefinedError."""
    environment = Environment(
        loader=PackageLoader("salun_grid.analysis"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"printable": printable, "cell_lines": cell_lines, "column_class": column_class}
    return environment


def cell_lines(text: str) -> list[str]:
    """The lines of a table cell: an interval or the gaps in brackets go below their value."""
    whole = text.replace("n = ", f"n{NO_BREAK_SPACE}={NO_BREAK_SPACE}")
    return re.split(r"(?<=\d) (?=[\[(][+−-]?\d)", whole)


def column_class(name: str) -> str:
    """The CSS class of a column, or "": text is left-aligned, and some columns wrap."""
    if name not in LEFT_ALIGNED:
        return ""
    return f"text {name}" if name in WRAPPING else "text"


def drawings(figures: Sequence[Figure], name: str, caption: str) -> list[Drawing]:
    """The figures as drawings; the caption goes below the last."""
    names = [f"{name}, page {i}" if i > 1 else name for i in range(1, len(figures) + 1)]
    captions = [*[""] * (len(figures) - 1), caption]
    return [drawing(*each) for each in zip(figures, names, captions, strict=True)]


def drawing(figure: Figure, name: str, caption: str) -> Drawing:
    """The figure in the page's text colour, so that it is readable in light and dark mode."""
    buffer = io.StringIO()
    # A fixed salt per figure makes ids distinct within the page and equal between runs.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        draw(figure, buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace("#000000", "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    used = set(re.findall(r"(?:url\(#|href=\"#)([^\")]+)", text))
    svg = re.sub(r' id="([^"]+)"', lambda match: match[0] if match[1] in used else "", text)
    return Drawing(Markup(svg), name, caption)


def picture(image: np.ndarray, caption: str) -> Picture:
    """A picture of uint8 (H, W, 1 or 3)."""
    buffer = io.BytesIO()
    imsave(buffer, np.repeat(image, 4 - image.shape[-1], axis=-1) if image.shape[-1] == 1 else image, format="png")
    return Picture(base64.b64encode(buffer.getvalue()).decode(), caption)
