"""The page's templates: what they escape, how a cell is set, and that a wrong name is an error."""

from dataclasses import replace

import numpy as np
import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from salun_grid.analysis import page
from salun_grid.analysis.page import Drawing, Picture, Section, cell_lines, column_class, render
from salun_grid.analysis.tables import Table
from tests.support.folders import make_grid, make_run, protocol_text, write_epochs
from tests.support.html_page import Page, page_of

HOSTILE = "\"><script>alert('x')</script>&amp; 'y'"
EMPTY = page.Page("", [], [], [], [])
SVG = Markup("<svg><text>a</text></svg>")

# A page with the hostile text in one place each.
PAGES = {
    "title": replace(EMPTY, title=HOSTILE),
    "state": replace(EMPTY, state=[HOSTILE]),
    "lead": replace(EMPTY, lead=[HOSTILE]),
    "remarks": replace(EMPTY, remarks=[HOSTILE]),
    **{
        name: replace(EMPTY, sections=[section])
        for name, section in {
            "heading": Section(HOSTILE),
            "heading below": Section("a", parts=[Section(HOSTILE)]),
            "paragraph": Section(paragraphs=[HOSTILE]),
            "summary": Section(folded=HOSTILE),
            "column": Section("a", table=Table("", [["1"]], "", (HOSTILE,))),
            "cell": Section("a", table=Table("", [[HOSTILE]], "", ("Method",))),
            "note": Section("a", table=Table("", [], HOSTILE, ("Method",))),
            "name of a figure": Section(drawings=[Drawing(SVG, HOSTILE, "")]),
            "caption of a figure": Section(drawings=[Drawing(SVG, "", HOSTILE)]),
            "caption of a picture": Section(pictures=[Picture("", HOSTILE)]),
            "picture": Section(pictures=[Picture(HOSTILE, "")]),
        }.items()
    },
}


@pytest.mark.parametrize("place", PAGES)
def test_a_hostile_text_stays_text_wherever_it_stands(place: str) -> None:
    """It comes back whole from an element's text or an attribute, and opens no element and no attribute."""
    parsed = Page(render(PAGES[place]))
    harmless = Page(render(PAGES[place]).replace(str(Markup.escape(HOSTILE)), "x"))
    assert [(tag, set(a)) for tag, a in parsed.tags] == [(tag, set(a)) for tag, a in harmless.tags]
    assert len(parsed.texts["script"]) == 1 and parsed.unbalanced == parsed.open == []
    texts = [text for own in parsed.texts.values() for text in own] + [v for _, a in parsed.tags for v in a.values()]
    assert any(HOSTILE in text for text in texts)


SCRIPTS = {c: f"<script>alert('{c}')</script>" for c in ("dataset", "method", "augmentation", "protocol")}


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Page]:
    """A page of labels with scripts: two variants and two protocols, so that labels are built, and curves."""
    folder = tmp_path_factory.mktemp("scripted")
    axes = {column: script for column, script in SCRIPTS.items() if column != "method"}
    runs = [run | axes for run in make_grid(seeds=(0, 1, 2))]
    params = [f'{{"{SCRIPTS["method"]}": {epochs}}}' for epochs in (5, 9)]
    runs += [make_run(seed=s, method_params=p, **SCRIPTS) for p in params for s in range(3)]
    runs += [make_run(seed=s, method_params=p, method="salun", **axes) for p in params for s in range(3)]
    runs += make_grid(seeds=(0,), protocol_json=protocol_text(training={"epochs": 5}))
    write_epochs(folder, runs)
    return page_of(folder, runs)


@pytest.mark.parametrize("column", SCRIPTS)
def test_a_label_with_a_script_reaches_every_part_of_the_page_as_text(column: str, scripted: tuple[str, Page]) -> None:
    """Pictures, curves, figures and tables."""
    text, parsed = scripted
    assert "<script>alert" not in text
    assert len(parsed.texts["script"]) == 1 and parsed.unbalanced == []
    assert any(SCRIPTS[column] in cell for rows in parsed.rows.values() for row in rows for cell in row)


def test_control_characters_in_a_sentence_are_shown() -> None:
    (text,) = Page(render(replace(EMPTY, remarks=["a\x1b[2Jb"]))).texts["p"]
    assert text == r"a\x1b[2Jb"


def test_an_undefined_name_in_a_template_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        page.templates().from_string("{{ page.absent }}").render(page=EMPTY)


def test_an_interval_and_gaps_stand_below_their_value() -> None:
    assert cell_lines("1.25 [0.50, 2.00]") == ["1.25", "[0.50, 2.00]"]
    assert cell_lines("99.50 ± 0.10 (-0.25; 0.30)") == ["99.50 ± 0.10", "(-0.25; 0.30)"]
    assert cell_lines("too few seeds to say (n = 2)") == ["too few seeds to say (n\xa0=\xa02)"]
    table = Table("", [["1.25 [0.50, 2.00]"]], "", ("AG",))
    assert ">1.25 <br>[0.50, 2.00]</td>" in render(replace(EMPTY, sections=[Section("a", table=table)]))


def test_text_columns_stand_left_and_long_ones_wrap() -> None:
    names = ("UA", "Method", "Device", "Verdict", "Command")
    assert [column_class(name) for name in names] == ["", "text", "text", "text Verdict", "text Command"]


def test_rows_of_the_floors_alone_are_tinted() -> None:
    table = Table("", [["original"], ["salun"]], "", ("Method",))
    for controls, tinted in ((("original",), ["control", ""]), ((), ["", ""])):
        section = Section("a", table=table, controls=controls)
        parsed = Page(render(replace(EMPTY, sections=[section])))
        assert [a.get("class", "") for tag, a in parsed.tags if tag == "tr"][1:] == tinted


def test_a_grey_picture_and_a_coloured_one_are_png() -> None:
    for channels in (1, 3):
        assert page.picture(np.zeros((4, 4, channels), dtype=np.uint8), "").png.startswith("iVBORw0KGgo")
