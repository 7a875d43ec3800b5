"""The HTML page: it stands alone, it escapes what it shows, and each row's command is in it."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from analysis.commands import write_report
from analysis.gaps import summarise
from analysis.tables import make_tables, provenance_of
from tests.analysis.folders import Run, make_grid, make_run, write_folder

HOSTILE = "<script>alert('x')</script>"
NAMES = ("dataset", "study", "protocol", "augmentation", "method", "device_name", "command")


class Page(HTMLParser):
    """Tags with their attributes, and the text of the elements of some tags."""

    VOID = frozenset({"meta", "link", "img", "br", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.unbalanced: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts[self.open[-1]][-1] += data


def page_of(folder: Path, runs: list[Run]) -> tuple[str, Page]:
    path = write_report(str(write_folder(folder, runs)))
    assert path == folder / "report.html"
    text = path.read_text(encoding="utf-8")
    return text, Page(text)


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    grid = make_grid(rates=(0.1, 0.5), augmentations=("none", "default"), seeds=(0, 1))
    return [run | {"command": f"salun-grid run 'a b' --set x={n} && <{n}>"} for n, run in enumerate(grid)]


@pytest.fixture(scope="module")
def page(runs: list[Run], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Page]:
    return page_of(tmp_path_factory.mktemp("report"), runs)


def test_page_is_whole_html(page: tuple[str, Page]) -> None:
    text, parsed = page
    assert text.lower().startswith("<!doctype html>")
    assert text.lower().count("<!doctype") == 1
    assert parsed.unbalanced == []
    assert parsed.open == []
    for tag in ("html", "head", "title", "body", "h1"):
        assert len(parsed.texts[tag]) == 1, tag
    assert "<?xml" not in text


def test_page_refers_to_no_other_host(page: tuple[str, Page]) -> None:
    text, parsed = page
    for tag, attributes in parsed.tags:
        assert tag not in {"script", "link", "iframe", "img", "object", "embed", "base"}
        for name, value in attributes.items():
            if name.startswith("xmlns") or name == "rdf:resource":  # names that nothing fetches
                continue
            assert "//" not in value, (tag, name, value)
            if name in {"href", "xlink:href", "src"}:
                assert value.startswith("#")
            assert not name.startswith("on")
    for style in parsed.texts["style"]:
        assert "//" not in style
        assert "@import" not in style
    assert not re.search(r"url\(\s*['\"]?(?!#)", text)


def test_page_shows_every_table_cell(page: tuple[str, Page], runs: list[Run]) -> None:
    _, parsed = page
    tables = make_tables(summarise(runs), provenance_of(runs))
    expected = [cell for table in tables for row in table.rows for cell in row]
    assert len(tables) == 2
    assert [cell.split() for cell in parsed.texts["td"]] == [cell.split() for cell in expected]
    for table in tables:
        assert table.title in parsed.texts["h2"]
        assert table.note in parsed.texts["small"]


def test_page_holds_the_figure_once(page: tuple[str, Page]) -> None:
    _, parsed = page
    assert len(parsed.texts["figure"]) == len(parsed.texts["svg"]) == 1


def test_page_includes_the_command_of_every_row(page: tuple[str, Page], runs: list[Run]) -> None:
    _, parsed = page
    assert len({run["command"] for run in runs}) == len(runs)
    assert sorted(parsed.texts["code"]) == sorted(run["command"] for run in runs)


@pytest.mark.parametrize("column", NAMES)
def test_page_escapes_names(tmp_path: Path, column: str) -> None:
    retrain, salun = make_run(method="retrain"), make_run() | {column: HOSTILE}
    runs = [retrain if column == "method" else retrain | {column: HOSTILE}, salun]
    text, parsed = page_of(tmp_path, runs)
    assert HOSTILE not in text
    assert not any(tag == "script" for tag, _ in parsed.tags)
    assert parsed.unbalanced == []
    shown = [content for contents in parsed.texts.values() for content in contents]
    assert any(HOSTILE in content for content in shown)


def test_page_without_retrains_has_tables_and_no_figure(tmp_path: Path) -> None:
    _, parsed = page_of(tmp_path, make_grid(methods=("original", "salun")))
    assert "svg" not in parsed.texts
    assert parsed.texts["td"].count("no retrain") == 4
