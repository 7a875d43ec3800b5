"""Figures of many variants: ranked, paged, of bounded size, each variant once."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from salun_grid.analysis import page, sections
from salun_grid.analysis.commands import draw_figure, write_report
from salun_grid.analysis.curves import training_curves, training_rows
from salun_grid.analysis.figures import MOST_CHARACTERS, MOST_METHODS, label, ranked
from salun_grid.analysis.fonts import draw
from salun_grid.analysis.gaps import Summary
from salun_grid.analysis.plots import front, signed_gap_figures, trade_off
from salun_grid.analysis.strips import LINES_PER_PAGE, average_gap_pages
from salun_grid.analysis.view import Results
from tests.support.folders import Run, make_grid, write_epochs, write_folder

NUM_VARIANTS = 55


def many(num: int = NUM_VARIANTS, **axes: tuple) -> list[Run]:
    runs = make_grid(methods=("retrain", "retrain-again", "original"), **axes)
    for i in range(num):
        params = json.dumps({"batch_size": 256, "epochs": 10, "learning_rate": (i + 1) / 1000, "mask_mode": "leaky"})
        ua = {"ua": float(i), "ra": 50.0, "ta": 50.0, "mia": 50.0}
        runs += make_grid(methods=("salun",), method_params=params, **ua, **axes)
    return runs


@pytest.fixture(scope="module")
def summaries() -> list[Summary]:
    return Results.of(many(rates=(0.1, 0.5), augmentations=("none", "default"))).summaries


def test_few_methods_are_panels_of_bars_and_many_are_ranked_strips(summaries: list[Summary]) -> None:
    (few,) = average_gap_pages(Results.of(many(MOST_METHODS)).summaries)
    assert len(few.axes) == MOST_METHODS + 2
    pages = average_gap_pages(summaries, "provenance")
    assert [len(p.axes) for p in pages] == [2, 2]
    assert all("provenance" in p.get_supxlabel() for p in pages)


def test_each_variant_has_one_line_and_ranks_follow_its_mean_ag(summaries: list[Summary]) -> None:
    names = [text.get_text() for p in average_gap_pages(summaries) for text in p.axes[0].get_yticklabels()]
    assert [int(name.split()[-1]) for name in names] == list(range(1, NUM_VARIANTS + 3))
    shown = [re.sub(r"  \d+$", "", name) for name in names]
    order = ranked([s for s in summaries if s.method != "retrain"])
    assert shown == [
        {"original": "original (no-op)"}.get(m, m).replace("retrain-again", "retrain-again (noise floor)")
        for m in order
    ]
    means = [np.mean([s.gaps["ag"].mean for s in summaries if s.method == m]) for m in order]
    assert means == sorted(means)


def test_markers_stand_at_the_means_of_their_line(summaries: list[Summary]) -> None:
    first, *_ = average_gap_pages(summaries)
    axis = first.axes[0]
    names = [re.sub(r"  \d+$", "", text.get_text()) for text in axis.get_yticklabels()]
    lines = [line for line in axis.lines if line.get_marker() in "os"]
    found = {(names[round(y)], float(x)) for line in lines for x, y in line.get_xydata()}
    for summary in summaries:
        if summary.method in names and summary.group.forget == "random:0.1":
            assert (summary.method, summary.gaps["ag"].mean) in found
    low, high = axis.get_xlim()
    assert low == 0 and high > max(x for _, x in found)


def test_no_page_is_wider_or_higher_than_a_person_can_read(summaries: list[Summary]) -> None:
    shown = [s for s in summaries if s.method in sections.closest(summaries)]
    drawn = [*average_gap_pages(summaries), trade_off(summaries)]
    drawn += [f for pages in signed_gap_figures(shown, 1.0).values() for f in pages]
    for figure in drawn:
        width, height = figure.get_size_inches()
        assert width < 16 and height < 2 + 0.25 * LINES_PER_PAGE


def test_many_datasets_are_a_page_each() -> None:
    names = tuple(f"set{i}" for i in range(8))
    pages = average_gap_pages(Results.of(make_grid(names)).summaries)
    assert len(pages) == len(names)
    titles = [p.legends[0].get_title().get_text() for p in pages]
    assert [title.split()[0] for title in titles] == list(names)


def test_pages_are_numbered_and_those_of_an_earlier_drawing_go(tmp_path: Path) -> None:
    folder, out = write_folder(tmp_path / "a", many(seeds=(0,))), tmp_path / "figures"
    paths = draw_figure(str(folder), out)
    assert [p.name for p in paths] == [f"average_gap{i}.{kind}" for i in ("", "_2") for kind in ("png", "svg")]
    kept = out / "average_gap_notes.txt"
    kept.write_text("mine")
    few = draw_figure(str(write_folder(tmp_path / "b", make_grid())), out)
    assert sorted(out.iterdir()) == sorted([*few, kept])


@pytest.mark.usefixtures("blank_figures", "few_draws")
def test_the_page_shows_the_closest_variants_and_says_of_how_many(tmp_path: Path) -> None:
    runs = many(9, seeds=(0,))
    folder = write_folder(tmp_path, runs)
    write_epochs(folder, runs, 1)
    summaries = Results.of(runs).summaries
    best = ranked([s for s in summaries if s.base == "salun"])[:MOST_METHODS]
    assert sections.closest(summaries) == [
        "retrain",
        "retrain-again",
        "original",
        *(m for m in dict.fromkeys(s.method for s in summaries) if m in best),
    ]
    text = write_report(str(folder)).read_text(encoding="utf-8")
    assert f"Of 9 methods the {MOST_METHODS} with the lowest AG are shown." in text
    assert text.count("salun learning_rate=0.009") > 3  # in the tables


def test_the_front_is_what_no_other_point_beats_in_both() -> None:
    points = [(1.0, 5.0, "a"), (2.0, 6.0, "b"), (3.0, 1.0, "c"), (4.0, 1.0, "d"), (0.5, float("nan"), "e")]
    assert [name for _, _, name in front(points)] == ["a", "c"]


def test_long_names_lose_their_middle_and_leave_room_for_the_axes(tmp_path: Path) -> None:
    name = "a" * 200
    assert len(label(name)) == MOST_CHARACTERS + 1
    assert label("$x^$") == r"\$x^\$"
    runs = make_grid((name,), augmentations=(name, "none"), methods=("retrain", "original", f"m{name}"))
    write_epochs(tmp_path, runs, 1)
    summaries = Results.of(runs).summaries
    figures = [*average_gap_pages(summaries), trade_off(summaries), training_curves(training_rows(str(tmp_path)))]
    figures += [f for pages in signed_gap_figures(summaries, 1.0).values() for f in pages]
    for figure in figures:
        figure.savefig(tmp_path / "x.png")  # a warning of matplotlib's is an error here
        assert min(axis.get_position().width for axis in figure.axes) > 0.05


def test_a_figure_in_the_page_has_its_caption_once() -> None:
    pages = average_gap_pages(Results.of(make_grid(tuple("abcdefg"))).summaries)
    section = page.Section("AG", drawings=page.drawings(pages, "AG", "the caption"))
    text = page.render(page.Page("", [], [], [], [section]))
    assert text.count("<figure>") == 7 and text.count("the caption") == 1


def test_drawing_warns_of_nothing(tmp_path: Path, summaries: list[Summary]) -> None:
    draw(trade_off(summaries), tmp_path / "x.svg")
