"""Further figures of gaps in the report: AG against RTE, and signed gaps with the margin.

Methods differ in marker as well as in colour, so that the figures can be read without colour.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from salun_grid.analysis.figures import COLOURS, in_order, label, legend_above, panel_name, panel_of, panel_title
from salun_grid.analysis.gaps import CONTROLS, NO_OP, PAPER_METRICS, Summary
from salun_grid.analysis.statistics import Spread
from salun_grid.analysis.strips import LINES_PER_PAGE, MARKERS, pages_of
from salun_grid.records.forget_label import forget_name, forget_order

SHORTEST_MINUTES = 1e-3  # what takes no time cannot be drawn on a logarithmic axis


Point = tuple[float, float, Summary]  # RTE in minutes, AG in percentage points


def new_figure(width: float, height: float, rows: int, columns: int) -> tuple[Figure, np.ndarray]:
    """An empty figure in inches, and its axes (rows, columns) without the upper and right spine."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.3)
        axis.set_axisbelow(True)
    return figure, axes


def method_styles(methods: Sequence[str]) -> dict[str, tuple[str, str]]:
    """A colour and a marker for each method, the same in every figure of a page."""
    return {m: (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i, m in enumerate(dict.fromkeys(methods))}


def trade_off(summaries: Sequence[Summary]) -> Figure:
    """AG against RTE, one panel per dataset and forget set; a line marks the AG of the no-op.

    The marker shows the method and its fill the augmentation. If there are many methods, all share a marker, and only
    the Pareto-optimal ones are named. A method timed on several devices has a point for each. `summaries` must have
    gaps.
    """
    shown = [s for s in summaries if s.gaps and s.method != "retrain"]
    panels = list(dict.fromkeys(panel_of(s.group) for s in shown))
    forgets = sorted({s.group.forget for s in shown}, key=forget_order)
    methods = list(dict.fromkeys(s.method for s in shown if s.method != NO_OP))
    few = len(methods) <= len(MARKERS)
    styles = {m: marker if few else "o" for m, (_, marker) in method_styles(methods).items()}
    augmentations = in_order({s.group.augmentation for s in shown})
    hues = {a: COLOURS[i % len(COLOURS)] for i, a in enumerate(augmentations)}
    figure, axes = new_figure(1 + 3.4 * len(forgets), 1.1 + 2.6 * len(panels), len(panels), len(forgets))
    for row, panel in zip(axes, panels, strict=True):
        for axis, forget in zip(row, forgets, strict=True):
            cell = [s for s in shown if (*panel_of(s.group), s.group.forget) == (*panel, forget)]
            points = [point for s in cell if s.method != NO_OP for point in _points(s)]
            for x, ag, summary in points:
                hue = hues[summary.group.augmentation]
                axis.plot(x, ag, styles[summary.method], color=hue, markeredgecolor="black", markersize=8 if few else 5)
            for summary in cell:
                if summary.method == NO_OP:
                    hue = hues[summary.group.augmentation]
                    axis.axhline(summary.gaps["ag"].mean, color=hue, linestyle="--", linewidth=1.2)
            _minutes_axis(axis, [x for x, _, _ in points])
            axis.set_ylim(bottom=0)
            if not few:
                _name_points(axis, front(points))
            if cell:
                title = f"{panel_title(cell[0].group)}, forgetting {forget_name(forget)}"
                axis.set_title(title, fontsize=9, wrap=True)
            axis.set_xlabel("RTE (minutes)")
        row[0].set_ylabel("AG (percentage points)")
    look: dict[str, Any] = {"linestyle": "", "color": "0.5", "markeredgecolor": "black"}
    named = styles if few else {}
    handles = [Line2D([], [], marker=m, label=label(CONTROLS.get(name, name)), **look) for name, m in named.items()]
    handles += [Line2D([], [], color="0.5", linestyle="--", label=CONTROLS[NO_OP])]
    handles += [Line2D([], [], linestyle="", marker="s", color=hue, label=label(a)) for a, hue in hues.items()]
    legend_above(figure, handles, fontsize=8)
    return figure


def _name_points(axis: Axes, points: Sequence[Point]) -> None:
    """The methods' names below their points, towards the middle of the panel."""
    middle = np.sqrt(np.prod(axis.get_xlim()))
    for x, ag, summary in points:
        left = x < middle
        position: dict[str, Any] = {"xytext": (5 if left else -5, -3), "ha": "left" if left else "right", "va": "top"}
        axis.annotate(label(summary.method), (x, ag), textcoords="offset points", fontsize=6, **position)


def _points(summary: Summary) -> list[Point]:
    """RTE in minutes and AG of a summary, for each device that it was timed on."""
    ag = summary.gaps["ag"].mean
    return [(max(s.mean / 60, SHORTEST_MINUTES), ag, summary) for s in summary.seconds_on.values()]


def front(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats in both RTE and AG, the quickest first."""
    found: list[Point] = []
    for point in sorted(points, key=lambda point: point[:2]):
        if np.isfinite(point[1]) and (not found or point[1] < found[-1][1]):
            found.append(point)
    return found


def _minutes_axis(axis: Axes, minutes: list[float]) -> None:
    """A logarithmic axis over whole decades, labelled 0.1, 1, 10."""
    axis.set_xscale("log")
    if minutes:
        low, high = np.floor(np.log10(min(minutes))), np.ceil(np.log10(max(minutes)))
        axis.set_xlim(10.0**low * 0.9, 10.0 ** max(high, low + 1) * 1.1)
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())


def signed_gap_figures(summaries: Sequence[Summary], margin: float) -> dict[str, list[Figure]]:
    """Signed gap of each metric with its 95 % interval by augmentation and forget set; pages by dataset.

    The band is ±`margin`. These intervals are not corrected for several comparisons and are no verdicts.
    """
    shown = [s for s in summaries if s.signed and s.method != "retrain"]
    styles = method_styles([s.method for s in shown])
    by_panel: dict[str, list[Summary]] = defaultdict(list)
    for summary in shown:
        by_panel[panel_name(summary.group)].append(summary)
    return {
        panel: [_forest(page, styles, margin) for page in pages_of(rows, LINES_PER_PAGE)]
        for panel, rows in by_panel.items()
    }


def _forest(rows: Sequence[Summary], styles: dict[str, tuple[str, str]], margin: float) -> Figure:
    names = [f"{label(s.group.augmentation)}, {forget_name(s.group.forget)}, {label(s.method)}" for s in rows]
    width = 6.4 + 0.08 * max(map(len, names))
    figure, axes = new_figure(width, 1.4 + 0.24 * len(rows), 1, len(PAPER_METRICS))
    heights = np.arange(len(rows))
    colours = [styles[summary.method][0] for summary in rows]
    for axis, metric in zip(axes[0], PAPER_METRICS, strict=True):
        values = [summary.signed[metric] for summary in rows]
        axis.axvspan(-margin, margin, color="0.5", alpha=0.25, linewidth=0)
        axis.axvline(0, color="0.5", linewidth=1)
        low, high = np.array([value.interval for value in values]).T
        axis.hlines(heights, low, high, colors=colours, linewidth=2)
        for method in dict.fromkeys(summary.method for summary in rows):
            colour, marker = styles[method]
            own = [y for y, summary in enumerate(rows) if summary.method == method]
            axis.plot([values[y].mean for y in own], own, marker, color=colour, markersize=5)
        axis.set_title(f"{metric.upper()} gap", fontsize=9)
        axis.set_ylim(len(rows) - 0.4, -0.6)
        _limit(axis, values, margin)
        axis.set_yticks(heights, names if metric == PAPER_METRICS[0] else [], fontsize=8)
    figure.supxlabel("method − retrain (percentage points)", fontsize=9)
    return figure


def _limit(axis: Axes, values: Sequence[Spread], margin: float) -> None:
    """Wide enough for every mean and the margin; an interval that leaves the picture ends in an arrow."""
    means = [abs(value.mean) for value in values if np.isfinite(value.mean)]
    half = 1.6 * max([margin, *means])
    axis.set_xlim(-half, half)
    low, high = np.array([value.interval for value in values]).T
    for beyond, x, arrow in ((high > half, half, ">"), (low < -half, -half, "<")):
        axis.plot(np.full(beyond.sum(), x), np.flatnonzero(beyond), arrow, color="0.3", markersize=4, clip_on=False)
