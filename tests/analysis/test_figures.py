"""Figure 2, read back from the axes: what is drawn is what the summaries say."""

import math
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from salun_grid.analysis.figures import average_gap_figure, save
from salun_grid.analysis.gaps import Summary
from salun_grid.analysis.view import Results
from salun_grid.records.errors import InputError
from tests.support.folders import make_grid, make_run

DATASETS, RATES, AUGMENTATIONS = ("bloodmnist", "pathmnist"), (0.1, 0.5), ("none", "default", "default+ra")
PROVENANCE = "108 rows on Some GPU."


@pytest.fixture(scope="module")
def summaries() -> list[Summary]:
    return Results.of(make_grid(DATASETS, RATES, AUGMENTATIONS)).summaries


@pytest.fixture(scope="module")
def figure(summaries: list[Summary]) -> Figure:
    return average_gap_figure(summaries, PROVENANCE)


def panel(figure: Figure, method: str, rate: float) -> Axes:
    def fits(axis: Axes) -> bool:
        title = axis.get_title()
        return title.startswith(method) and f"{rate:.0%}" in title

    (axis,) = filter(fits, figure.axes)
    return axis


def bars_of(axis: Axes) -> dict[str, BarContainer]:
    """The bars of each augmentation."""
    return {bars.get_label(): bars for bars in axis.containers if isinstance(bars, BarContainer)}


def whiskers_of(bars: BarContainer) -> list[tuple[float, float]]:
    """Bottom and top of the whisker of each bar."""
    return [(float(low), float(high)) for (_, low), (_, high) in bars.errorbar.lines[2][0].get_segments()]


def dots_of(axis: Axes) -> list[tuple[float, float]]:
    lines = [line for line in axis.lines if line.get_marker() == "o"]
    return [(float(x), float(y)) for line in lines for x, y in line.get_xydata()]


def drawn(summaries: list[Summary], method: str, rate: float, augmentation: str) -> list[Summary]:
    """The summaries behind the bars of one augmentation in one panel, by dataset."""
    cell = (method, f"random:{rate}", augmentation)
    found = [s for s in summaries if (s.method, s.group.forget, s.group.augmentation) == cell]
    return sorted(found, key=lambda summary: summary.group.dataset)


PANELS = [(method, rate) for method in ("original", "salun") for rate in RATES]


def test_there_is_a_panel_for_each_method_and_rate_and_none_for_the_retrain(figure: Figure) -> None:
    assert len(figure.axes) == len(PANELS)
    assert len({panel(figure, method, rate) for method, rate in PANELS}) == len(PANELS)
    assert len({axis.get_title() for axis in figure.axes}) == len(PANELS)


@pytest.mark.parametrize(("method", "rate"), PANELS)
def test_bars_are_the_mean_average_gaps_at_their_datasets(
    figure: Figure, summaries: list[Summary], method: str, rate: float
) -> None:
    axis = panel(figure, method, rate)
    bars = bars_of(axis)
    assert list(bars) == list(AUGMENTATIONS)
    assert len(axis.patches) == len(DATASETS) * len(AUGMENTATIONS)
    names = [label.get_text().split()[0] for label in axis.get_xticklabels()]
    for augmentation in AUGMENTATIONS:
        expected = drawn(summaries, method, rate, augmentation)
        heights = [bar.get_height() for bar in bars[augmentation]]
        assert heights == pytest.approx([s.gaps["ag"].mean for s in expected])
        assert all(bar.get_y() == 0 for bar in bars[augmentation])
        nearest = [names[round(bar.get_x() + bar.get_width() / 2)] for bar in bars[augmentation]]
        assert nearest == [s.group.dataset for s in expected]


@pytest.mark.parametrize(("method", "rate"), PANELS)
def test_whiskers_are_the_standard_deviation_up_and_down(
    figure: Figure, summaries: list[Summary], method: str, rate: float
) -> None:
    for augmentation, bars in bars_of(panel(figure, method, rate)).items():
        gaps = [s.gaps["ag"] for s in drawn(summaries, method, rate, augmentation)]
        whiskers = whiskers_of(bars)
        assert [low for low, _ in whiskers] == pytest.approx([gap.mean - gap.sd for gap in gaps])
        assert [high for _, high in whiskers] == pytest.approx([gap.mean + gap.sd for gap in gaps])


@pytest.mark.parametrize(("method", "rate"), PANELS)
def test_dots_are_the_average_gaps_of_the_seeds_over_their_bar(
    figure: Figure, summaries: list[Summary], method: str, rate: float
) -> None:
    axis = panel(figure, method, rate)
    dots = dots_of(axis)
    assert len(dots) == len(DATASETS) * len(AUGMENTATIONS) * 3
    for augmentation, bars in bars_of(axis).items():
        for bar, summary in zip(bars, drawn(summaries, method, rate, augmentation), strict=True):
            left, right = bar.get_x(), bar.get_x() + bar.get_width()
            over = sorted(y for x, y in dots if left <= x <= right)
            assert over == pytest.approx(sorted(summary.ag_by_seed.values()))


def test_bars_of_a_panel_do_not_overlap(figure: Figure) -> None:
    for axis in figure.axes:
        edges = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in axis.patches)
        assert all(right <= left for (_, right), (left, _) in pairwise(edges))


def test_y_starts_at_nought_and_holds_every_dot_and_whisker(figure: Figure) -> None:
    for axis in figure.axes:
        bottom, top = axis.get_ylim()
        assert bottom == 0
        highest = max(high for bars in bars_of(axis).values() for _, high in whiskers_of(bars))
        assert top >= max(highest, *(y for _, y in dots_of(axis)))


def test_legend_names_each_augmentation_with_its_colour(figure: Figure) -> None:
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(AUGMENTATIONS)
    for axis in figure.axes:
        for patch, bars in zip(legend.get_patches(), bars_of(axis).values(), strict=True):
            assert patch.get_facecolor() == bars[0].get_facecolor()


@pytest.mark.parametrize(("seeds", "n"), [((0,), "n = 1 seed"), ((0, 1, 2, 3), "n = 4 seeds")])
def test_n_and_the_provenance_are_in_the_figure(seeds: tuple[int, ...], n: str) -> None:
    text = average_gap_figure(Results.of(make_grid(seeds=seeds)).summaries, PROVENANCE).get_supxlabel()
    assert n in text
    assert PROVENANCE in text


def test_one_seed_gives_a_whisker_of_no_length() -> None:
    figure = average_gap_figure(Results.of(make_grid(seeds=(0,))).summaries, PROVENANCE)
    (bars,) = bars_of(panel(figure, "salun", 0.1)).values()
    ((low, high),) = whiskers_of(bars)
    assert low == high == pytest.approx(bars[0].get_height())
    assert math.isfinite(low)


def test_no_retrain_is_a_results_error() -> None:
    for methods in (("original", "salun"), ("retrain",)):
        with pytest.raises(InputError, match="retrain"):
            average_gap_figure(Results.of(make_grid(methods=methods)).summaries, PROVENANCE)


def test_a_method_that_ran_at_one_of_two_rates_only_is_drawn() -> None:
    runs = make_grid(rates=(0.1, 0.5), methods=("retrain", "original"))
    summaries = Results.of(runs + make_grid(rates=(0.5,), methods=("salun",))).summaries
    figure = average_gap_figure(summaries, PROVENANCE)
    (summary,) = drawn(summaries, "salun", 0.5, "none")
    assert [bar.get_height() for bar in panel(figure, "salun", 0.5).patches] == [summary.gaps["ag"].mean]
    titles = [axis.get_title() for axis in figure.axes if axis.patches]
    assert not [title for title in titles if title.startswith("salun") and "10%" in title]


@pytest.mark.parametrize("rates", [(0.12, 0.125), (0.001, 0.004)], ids=str)
def test_titles_tell_forget_rates_apart(rates: tuple[float, ...]) -> None:
    figure = average_gap_figure(Results.of(make_grid(rates=rates, methods=("retrain", "salun"))).summaries, PROVENANCE)
    assert len({axis.get_title() for axis in figure.axes}) == 2


def test_an_augmentation_has_one_colour_in_every_panel_and_is_in_the_legend() -> None:
    runs = make_grid(rates=(0.1,), augmentations=("default",))
    runs += make_grid(rates=(0.5,), augmentations=AUGMENTATIONS)
    figure = average_gap_figure(Results.of(runs).summaries, PROVENANCE)
    (legend,) = figure.legends
    patches = zip(legend.get_texts(), legend.get_patches(), strict=True)
    colours = {text.get_text(): to_hex(patch.get_facecolor()) for text, patch in patches}
    assert list(colours) == list(AUGMENTATIONS)
    assert len(set(colours.values())) == 3
    for axis in figure.axes:
        for augmentation, bars in bars_of(axis).items():
            assert {to_hex(bar.get_facecolor()) for bar in bars} == {colours[augmentation]}


@pytest.mark.parametrize("name", ["a_b", "50% & more", "a$b", "a$^$b", "<script>-->"])
def test_odd_names_are_drawn_as_they_are(tmp_path: Path, name: str) -> None:
    runs = [make_run(dataset=name, method=method) for method in ("retrain", "salun")]
    figure = average_gap_figure(Results.of(runs).summaries, PROVENANCE)
    figure.savefig(tmp_path / "odd.svg")
    assert ET.parse(tmp_path / "odd.svg").getroot().tag.endswith("svg")
    names = [label.get_text().splitlines()[0] for label in figure.axes[0].get_xticklabels()]
    assert names == [name.replace("$", r"\$")]


def test_png_and_svg_are_written_and_valid(figure: Figure, tmp_path: Path) -> None:
    paths = save(figure, tmp_path / "a" / "b", "gap")
    assert paths == [tmp_path / "a" / "b" / "gap.png", tmp_path / "a" / "b" / "gap.svg"]
    png, svg = (path.read_bytes() for path in paths)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert b"IEND" in png[-12:]
    width, height = (int.from_bytes(png[i : i + 4], "big") for i in (16, 20))
    assert width > height / 4 > 100
    root = ET.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) > len(figure.axes)


def test_each_datasets_name_stands_below_its_bars_where_some_have_not_landed() -> None:
    runs = make_grid(("bloodmnist",), (0.1, 0.5), ("none", "default"))
    landed = [run for run in runs if (run["forget_rate"], run["augmentation"]) != (0.1, "default")]
    for axis in average_gap_figure(Results.of(landed).summaries).axes:
        low, high = axis.get_xlim()
        assert (low + high) / 2 == axis.get_xticks()[0] == 0
