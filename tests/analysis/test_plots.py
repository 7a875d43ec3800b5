"""The page's other figures, read back from their axes."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from salun_grid.analysis.curves import Curve, mean_curve, roc_figure, training_curves, training_rows
from salun_grid.analysis.plots import trade_off
from salun_grid.analysis.view import Results
from tests.support.folders import make_grid, write_epochs


def visible_points(axis: Axes) -> int:
    """Points that a line or a marker shows: a line of one point shows nothing by itself."""
    return sum(len(line.get_xdata()) for line in axis.lines if len(line.get_xdata()) > 1 or line.get_marker() != "None")


@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_training_curves_show_every_epoch_and_number_them_whole(tmp_path: Path, epochs: int) -> None:
    write_epochs(tmp_path, make_grid(augmentations=("none", "default")), epochs)
    figure = training_curves(training_rows(str(tmp_path)))
    figure.canvas.draw()
    assert len(figure.axes) == 3
    for axis in figure.axes:
        assert visible_points(axis) == 2 * epochs
        ticks = [tick for tick in axis.get_xticks() if axis.get_xlim()[0] <= tick <= axis.get_xlim()[1]]
        assert ticks == [round(tick) for tick in ticks]


def test_training_rows_are_spreads_over_seeds_without_the_pass_over_the_forgotten(tmp_path: Path) -> None:
    """`write_epochs` gives accuracy 10 × epoch + seed."""
    write_epochs(tmp_path, make_grid(seeds=(0, 1, 5)), 2)
    rows = training_rows(str(tmp_path))
    assert {(row["method"], row["epoch"]) for row in rows} == {
        (m, e) for m in ("original", "retrain", "salun") for e in (0, 1)
    }
    for row in rows:
        found = (row["low"], row["mean"], row["high"])
        assert found == pytest.approx((10 * row["epoch"], 10 * row["epoch"] + 2, 10 * row["epoch"] + 5))


def test_passes_whose_accuracy_is_of_no_training_are_left_out(tmp_path: Path) -> None:
    write_epochs(tmp_path, make_grid(), phases=("forget", "attack", "sample"))
    assert {row["method"] for row in training_rows(str(tmp_path))} == {"original", "retrain"}


def step(fpr: list[float], tpr: list[float]) -> Curve:
    return np.array(fpr), np.array(tpr)


def test_mean_curve_is_the_mean_of_steps_where_all_curves_resolve() -> None:
    x, y = mean_curve([step([0, 0.1, 1], [0, 0.4, 1]), step([0, 0, 0.2, 1], [0, 0.5, 0.6, 1])])
    assert x.min() == pytest.approx(0.2, rel=0.06) and x.min() >= 0.2
    for rate, mean in zip(x, y, strict=True):
        expected = (0.4 + 0.6) / 2 if rate < 1 - 1e-9 else 1.0
        assert mean == pytest.approx(expected)


def legend_of(figure: Figure) -> list[str]:
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def test_roc_legend_names_what_any_panel_shows() -> None:
    """A cell that has landed in part lacks methods that others have."""
    curve = [step([0, 0.01, 1], [0, 0.5, 1])]
    curves = {
        ("none, 10%", "loss", "retrain"): curve,
        ("none, 50%", "loss", "retrain"): curve,
        ("none, 50%", "loss", "salun"): curve,
    }
    assert legend_of(roc_figure(curves, ["retrain", "salun", "retrain"])) == ["retrain", "salun"]


def test_trade_off_places_each_method_at_its_minutes_and_ag() -> None:
    methods = ("retrain", "retrain-again", "original", "salun")
    summaries = Results.of(make_grid(rates=(0.1, 0.5), methods=methods)).summaries
    figure = trade_off(summaries)
    assert len(figure.axes) == 2
    points = [tuple(line.get_xydata()[0]) for axis in figure.axes for line in axis.lines if line.get_marker() != "None"]
    drawn = [s for s in summaries if s.method in ("retrain-again", "salun")]
    expected = [(s.seconds_on["Some GPU"].mean / 60, s.gaps["ag"].mean) for s in drawn]
    np.testing.assert_allclose(sorted(points), sorted(expected))
    controls = [line.get_ydata()[0] for axis in figure.axes for line in axis.lines if line.get_marker() == "None"]
    assert sorted(controls) == pytest.approx(sorted(s.gaps["ag"].mean for s in summaries if s.method == "original"))
