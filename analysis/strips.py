"""Figure 2 for many variants: one line per variant, ranked by AG, over several pages."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from salun_grid.analysis.figures import (
    COLOURS,
    MOST_METHODS,
    MOST_PANELS,
    average_gap_figure,
    in_order,
    label,
    legend_above,
    num_seeds,
    panel_of,
    panel_title,
    ranked,
    with_gaps,
)
from salun_grid.analysis.gaps import CONTROLS, NO_OP, NOISE, NOT_METHODS, Summary
from salun_grid.records.forget_label import forget_name, forget_order

MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
LINES_PER_PAGE = 50
CONTROL_LINES: dict[str, Any] = {NO_OP: "--", NOISE: ":"}
Item = TypeVar("Item")


def pages_of(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """`items` in order, in groups of `size`."""
    return (items[i : i + size] for i in range(0, len(items), size))


def fits_panels(summaries: Sequence[Summary]) -> bool:
    """Whether the summaries fit panels of bars."""
    methods, panels = {s.method for s in summaries} - NOT_METHODS, {panel_of(s.group) for s in summaries}
    return len(methods) <= MOST_METHODS and len(panels) <= MOST_PANELS


def average_gap_pages(summaries: Sequence[Summary], provenance: str = "") -> list[Figure]:
    """Figure 2: panels of bars if these are readable, else ranked strips by dataset.

    Raises InputError if no row has a retrain to compare with.
    """
    shown = with_gaps(summaries)
    if fits_panels(shown):
        return [average_gap_figure(shown, provenance)]
    by_panel: dict[tuple, list[Summary]] = defaultdict(list)
    for summary in shown:
        by_panel[panel_of(summary.group)].append(summary)
    return [page for own in by_panel.values() for page in _strips(own, provenance)]


def _strips(summaries: Sequence[Summary], provenance: str) -> Iterator[Figure]:
    """The pages of one dataset, with the same scale and the same lines for the controls."""
    order = ranked(summaries)
    highest = max((ag for s in summaries for ag in s.ag_by_seed.values() if np.isfinite(ag)), default=1.0)
    for first, methods in zip(range(1, len(order) + 1, LINES_PER_PAGE), pages_of(order, LINES_PER_PAGE), strict=True):
        of = f", ranks {first}–{first + len(methods) - 1} of {len(order)}" if len(order) > len(methods) else ""
        title = f"{panel_title(summaries[0].group)}: by mean AG{of}"
        yield _page(summaries, methods, first, title, 1.05 * highest or 1.0, provenance)


def _page(
    summaries: Sequence[Summary], methods: Sequence[str], first: int, title: str, right: float, provenance: str
) -> Figure:
    forgets = sorted({s.group.forget for s in summaries}, key=forget_order)
    augmentations = in_order({s.group.augmentation for s in summaries})
    names = [f"{label(CONTROLS.get(method, method))}  {rank}" for rank, method in enumerate(methods, start=first)]
    width = 0.5 + 0.07 * max(map(len, names)) + 3.0 * len(forgets)
    figure = Figure(figsize=(width, 2.0 + 0.19 * len(methods)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(forgets), squeeze=False, sharey=True)[0]
    for axis, forget in zip(axes, forgets, strict=True):
        own = [s for s in summaries if s.group.forget == forget]
        _floor_lines(axis, own)
        for i, augmentation in enumerate(augmentations):
            lines = {s.method: s for s in own if s.group.augmentation == augmentation}
            shift = 0.5 * ((i + 0.5) / len(augmentations) - 0.5)
            _markers(axis, [(y + shift, lines[m]) for y, m in enumerate(methods) if m in lines], _look(i))
        axis.set_title(f"forgetting {forget_name(forget)}", fontsize=9)
        axis.set(xlim=(0, right), ylim=(len(methods) - 0.4, -0.6), xlabel="AG (percentage points)")
        axis.set_yticks(range(len(methods)), names, fontsize=7)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.3)
        axis.set_axisbelow(True)
    handles = [Line2D([], [], linestyle="", label=label(a), **_look(i)) for i, a in enumerate(augmentations)]
    found = {s.method for s in summaries}
    handles += [
        Line2D([], [], color="0.4", linestyle=dash, label=f"mean of {control}")
        for control, dash in CONTROL_LINES.items()
        if control in found
    ]
    legend_above(figure, handles, title=title, fontsize=8)
    if provenance:
        figure.supxlabel(f"{strip_caption(summaries)}\n{provenance}", fontsize=6, wrap=True)
    return figure


def strip_caption(summaries: Sequence[Summary]) -> str:
    """What the marks of a ranked strip are, and n."""
    return f"{num_seeds(summaries)}; markers: mean, whiskers: ± standard deviation, ticks: seeds."


def _look(i: int) -> dict[str, Any]:
    return {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)], "markersize": 4}


def _floor_lines(axis: Axes, summaries: Sequence[Summary]) -> None:
    """AG of the no-op and of a second retraining, mean over the augmentations."""
    for control, dash in CONTROL_LINES.items():
        values = [s.gaps["ag"].mean for s in summaries if s.method == control]
        if values:
            axis.axvline(float(np.mean(values)), color="0.4", linestyle=dash, linewidth=1)


def _markers(axis: Axes, lines: list[tuple[float, Summary]], look: dict[str, Any]) -> None:
    """Mean, standard deviation and seeds of each summary at its height."""
    if not lines:
        return
    heights = [y for y, _ in lines]
    gaps = [s.gaps["ag"] for _, s in lines]
    sd = [0.0 if np.isnan(gap.sd) else gap.sd for gap in gaps]
    axis.errorbar([gap.mean for gap in gaps], heights, xerr=sd, linestyle="", elinewidth=1, **look)
    seeds = [(ag, y) for y, s in lines for ag in s.ag_by_seed.values()]
    axis.plot(*zip(*seeds, strict=True), "|", color=look["color"], markersize=4, alpha=0.6)
