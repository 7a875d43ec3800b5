"""The HTML page of some rows, read back."""

from html.parser import HTMLParser
from pathlib import Path

from salun_grid.analysis.commands import write_report
from tests.support.folders import Run, write_folder


class Page(HTMLParser):
    """Tags with their attributes, and the text of the elements of some tags."""

    VOID = frozenset({"meta", "link", "img", "br", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.unbalanced: list[str] = []
        self.rows: dict[str, list[list[str]]] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")
        if tag == "tr":
            self.rows.setdefault(self.texts["h2"][-1], []).append([])
        if tag == "td":
            self.rows[self.texts["h2"][-1]][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts[self.open[-1]][-1] += data
            if self.open[-1] == "td":
                self.rows[self.texts["h2"][-1]][-1][-1] += data

    def table(self, title: str) -> list[list[str]]:
        """The rows below a heading, white space squeezed."""
        return [[" ".join(cell.split()) for cell in row] for row in self.rows[title] if row]


def page_of(folder: Path, runs: list[Run], **options: object) -> tuple[str, Page]:
    path = write_report(str(write_folder(folder, runs)), **options)
    assert path == folder / "report.html"
    text = path.read_text(encoding="utf-8")
    return text, Page(text)
