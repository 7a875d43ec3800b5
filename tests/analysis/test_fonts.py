"""Names in other scripts: a font with their glyphs, or one line that says there is none."""

from pathlib import Path

import matplotlib
import pytest
from matplotlib import font_manager

from salun_grid.analysis import fonts
from salun_grid.analysis.commands import draw_figure
from salun_grid.analysis.figures import average_gap_figure
from salun_grid.analysis.view import Results
from tests.support.folders import make_grid, write_folder

FILES = {fonts.DEFAULT: "DejaVuSans.ttf", "STIXGeneral": "STIXGeneral.ttf"}


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch):
    """Lets matplotlib know the given families alone, of those that come with it, whatever this machine has."""

    def forget() -> None:
        for cached in (fonts.fallbacks, fonts._tell, font_manager.fontManager._findfont_cached):
            cached.cache_clear()

    def only(*families: str) -> None:
        paths = [Path(matplotlib.get_data_path(), "fonts", "ttf", FILES[family]) for family in families]
        own = [font_manager.ttfFontProperty(font_manager.get_font(path)) for path in paths]
        assert [entry.name for entry in own] == list(families)
        monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
        forget()

    yield only
    forget()


def test_a_name_without_glyphs_is_told_in_one_line_and_drawn(only, tmp_path: Path, capsys) -> None:
    only(fonts.DEFAULT)
    folder = write_folder(tmp_path, make_grid(("患者データ",), methods=("retrain", "salun", "환자")))
    for _ in range(2):
        assert all(path.is_file() for path in draw_figure(str(folder), tmp_path / "figures"))
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "No installed font has タデー患者자환; figures show boxes instead."


def test_a_font_with_the_glyphs_is_used(only, tmp_path: Path, capsys) -> None:
    """Of the fonts that come with matplotlib, STIXGeneral has signs that DejaVu Sans lacks."""
    only(fonts.DEFAULT, "STIXGeneral")
    stix = {e.name: e.fname for e in font_manager.fontManager.ttflist}["STIXGeneral"]
    own = fonts.glyphs_of(stix) - fonts.glyphs_of(font_manager.findfont(fonts.DEFAULT))
    sign = min(sign for sign in own if sign.isprintable())
    figure = average_gap_figure(Results.of(make_grid((f"a{sign}",))).summaries)
    fonts.draw(figure, tmp_path / "x.svg")
    assert capsys.readouterr().err == ""
    (text,) = {text.get_text(): text for text in figure.axes[0].get_xticklabels()}.values()
    assert text.get_fontfamily() == [fonts.DEFAULT, "STIXGeneral"]


def test_plain_names_keep_the_default_font_alone(only, tmp_path: Path) -> None:
    only(fonts.DEFAULT, "STIXGeneral")
    figure = average_gap_figure(Results.of(make_grid()).summaries)
    before = figure.axes[0].title.get_fontfamily()
    fonts.draw(figure, tmp_path / "x.svg")
    assert figure.axes[0].title.get_fontfamily() == before


def test_an_unreadable_font_file_has_no_glyphs(tmp_path: Path) -> None:
    (tmp_path / "x.ttf").write_bytes(b"no font")
    assert fonts.glyphs_of(str(tmp_path / "x.ttf")) == fonts.glyphs_of(str(tmp_path / "none.ttf")) == frozenset()
