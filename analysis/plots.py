"""The page's figures beside Figure 2: trade-off, gaps with their margin, training curves, ROC curves.

Colours and hatches come from figures.py; a method is told by its marker too, so that no figure needs colour.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow.compute as pc
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullFormatter

from analysis.figures import COLOURS
from analysis.gaps import AUGMENTATION_ORDER, FLOORS, METRICS, NOTHING, Group, Summary, percent
from analysis.results import Run, read_table

MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
DASHES: list[Any] = ["-", "--", ":", "-."]
AGGREGATES = {"mean": "mean", "min": "low", "max": "high"}
SHORTEST_MINUTES = 1e-3  # what takes no time has no place on a logarithmic axis
FPR_GRID = np.geomspace(1e-3, 1.0, 121)

Curve = tuple[np.ndarray, np.ndarray]


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


def place_name(group: Group) -> str:
    """What a panel of one dataset is called."""
    return f"{group.dataset} {group.image_size} px, {group.protocol}"


def trade_off(summaries: Sequence[Summary]) -> Figure:
    """AG against RTE, a panel for each dataset and forget rate; a line marks AG of doing nothing.

    Marker: method; its fill: augmentation. `summaries` must have gaps.
    """
    shown = [s for s in summaries if s.gaps and s.method != "retrain"]
    places = list(dict.fromkeys((s.group.dataset, s.group.image_size, s.group.protocol, s.group.model) for s in shown))
    rates = sorted({s.group.forget_rate for s in shown})
    styles = method_styles([s.method for s in shown if s.method != NOTHING])
    augmentations = in_order({s.group.augmentation for s in shown})
    hues = {a: COLOURS[i % len(COLOURS)] for i, a in enumerate(augmentations)}
    figure, axes = new_figure(1 + 3.4 * len(rates), 1.1 + 2.6 * len(places), len(places), len(rates))
    for row, place in zip(axes, places, strict=True):
        for axis, rate in zip(row, rates, strict=True):
            cell = [s for s in shown if _in_panel(s.group, place, rate)]
            for summary in cell:
                hue, ag = hues[summary.group.augmentation], summary.gaps["ag"].mean
                if summary.method == NOTHING:
                    axis.axhline(ag, color=hue, linestyle="--", linewidth=1.2)
                    continue
                x = max(summary.seconds_total.mean / 60, SHORTEST_MINUTES)
                axis.plot(x, ag, styles[summary.method][1], color=hue, markersize=8, markeredgecolor="black")
            _minutes_axis(axis, [max(s.seconds_total.mean / 60, SHORTEST_MINUTES) for s in cell if s.method != NOTHING])
            axis.set_ylim(bottom=0)
            if cell:
                axis.set_title(f"{place_name(cell[0].group)}, forgetting {percent(rate)}", fontsize=9)
            axis.set_xlabel("RTE (minutes)")
        row[0].set_ylabel("AG (percentage points)")
    handles = [
        Line2D([], [], linestyle="", marker=marker, color="0.5", markeredgecolor="black", label=FLOORS.get(m, m))
        for m, (_, marker) in styles.items()
    ]
    handles += [Line2D([], [], color="0.5", linestyle="--", label=FLOORS[NOTHING])]
    handles += [Line2D([], [], linestyle="", marker="s", color=hue, label=a) for a, hue in hues.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    return figure


def _minutes_axis(axis: Axes, minutes: list[float]) -> None:
    """A logarithmic axis over whole decades, labelled 0.1, 1, 10."""
    axis.set_xscale("log")
    if minutes:
        low, high = np.floor(np.log10(min(minutes))), np.ceil(np.log10(max(minutes)))
        axis.set_xlim(10.0**low * 0.9, 10.0 ** max(high, low + 1) * 1.1)
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())


def _in_panel(group: Group, place: tuple, rate: float) -> bool:
    return (group.dataset, group.image_size, group.protocol, group.model, group.forget_rate) == (*place, rate)


def signed_gap_figures(summaries: Sequence[Summary], margin: float) -> dict[str, Figure]:
    """Each metric's signed gap with its 95 % interval by augmentation and rate, a figure for each dataset.

    The band is ±`margin`. An interval within it is more than one TOST asks for, which is a 90 % interval there, and
    nothing about Holm's correction.
    """
    shown = [s for s in summaries if s.signed and s.method != "retrain"]
    styles = method_styles([s.method for s in shown])
    by_place: dict[str, list[Summary]] = defaultdict(list)
    for summary in shown:
        by_place[place_name(summary.group)].append(summary)
    return {place: _forest(rows, styles, margin) for place, rows in by_place.items()}


def _forest(rows: list[Summary], styles: dict[str, tuple[str, str]], margin: float) -> Figure:
    figure, axes = new_figure(8.4, 1.4 + 0.24 * len(rows), 1, len(METRICS))
    names = [f"{s.group.augmentation}, {percent(s.group.forget_rate)}, {s.method}" for s in rows]
    for axis, metric in zip(axes[0], METRICS, strict=True):
        axis.axvspan(-margin, margin, color="0.5", alpha=0.25, linewidth=0)
        axis.axvline(0, color="0.5", linewidth=1)
        for y, summary in enumerate(rows):
            colour, marker = styles[summary.method]
            value = summary.signed[metric]
            low, high = value.interval
            axis.plot([low, high], [y, y], color=colour, linewidth=2)
            axis.plot(value.mean, y, marker, color=colour, markersize=5)
        axis.set_title(f"{metric.upper()} gap", fontsize=9)
        axis.set_ylim(len(rows) - 0.4, -0.6)
        _limit(axis, rows, metric, margin)
        axis.set_yticks(range(len(rows)), names if metric == METRICS[0] else [], fontsize=8, parse_math=False)
    figure.supxlabel("method − retrain (percentage points)", fontsize=9)
    return figure


def _limit(axis: Axes, rows: list[Summary], metric: str, margin: float) -> None:
    """Wide enough for every mean and the margin; an interval that leaves the picture ends in an arrow."""
    means = [abs(s.signed[metric].mean) for s in rows if np.isfinite(s.signed[metric].mean)]
    half = 1.6 * max([margin, *means])
    axis.set_xlim(-half, half)
    for y, summary in enumerate(rows):
        for end in summary.signed[metric].interval:
            if abs(end) > half:
                axis.plot(np.copysign(half, end), y, ">" if end > 0 else "<", color="0.3", markersize=4, clip_on=False)


def training_rows(folder: str) -> list[Run]:
    """`mean`, `low` and `high` train accuracy (percent) over all seeds, rates and models, for each epoch of each kind.

    Rows are told apart by dataset, image_size, method, augmentation and epoch. An unlearning's pass over D_f, whose
    labels are wrong on purpose, is left out.
    """
    keys = ["dataset", "image_size", "method", "augmentation", "epoch"]
    table = read_table(folder, "epochs", [*keys, "phase", "accuracy"])
    passes = table.filter(pc.not_equal(table["phase"], "forget"))
    spread = passes.group_by(keys).aggregate([("accuracy", kind) for kind in ("mean", "min", "max")])
    return spread.rename_columns({f"accuracy_{kind}": name for kind, name in AGGREGATES.items()}).to_pylist()


def training_curves(rows: Sequence[Run]) -> Figure:
    """Accuracy in training by epoch: a panel for each dataset and kind of training, a line for each augmentation.

    `rows` as from `training_rows`; lines are means, bands reach from the smallest to the largest.
    """
    lines: dict[tuple, list[Run]] = defaultdict(list)
    for row in rows:
        lines[row["dataset"], row["image_size"], row["method"], row["augmentation"]].append(row)
    places = sorted({key[:2] for key in lines})
    methods = sorted({key[2] for key in lines}, key=lambda m: (m != NOTHING, m))
    augmentations = in_order({key[3] for key in lines})
    figure, axes = new_figure(0.8 + 2.5 * len(methods), 0.9 + 2.2 * len(places), len(places), len(methods))
    for row_of_axes, place in zip(axes, places, strict=True):
        for axis, method in zip(row_of_axes, methods, strict=True):
            for i, augmentation in enumerate(augmentations):
                found = sorted(lines.get((*place, method, augmentation), []), key=lambda row: row["epoch"])
                x, colour = [row["epoch"] for row in found], COLOURS[i % len(COLOURS)]
                look: dict[str, Any] = {"color": colour, "linestyle": DASHES[i % len(DASHES)]}
                axis.plot(x, [row["mean"] for row in found], marker="o" if len(x) == 1 else None, **look)
                low, high = [row["low"] for row in found], [row["high"] for row in found]
                axis.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
            axis.set_title(f"{place[0]} {place[1]} px, {method}", fontsize=9)
            axis.set_xlabel("epoch")
            axis.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
        row_of_axes[0].set_ylabel("train accuracy (%)")
    handles = [
        Line2D([], [], color=COLOURS[i % len(COLOURS)], linestyle=DASHES[i % len(DASHES)], label=a)
        for i, a in enumerate(augmentations)
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)
    return figure


def in_order(augmentations: set[str]) -> list[str]:
    """Augmentations in the paper's order, others after them."""
    return sorted(augmentations, key=lambda a: (AUGMENTATION_ORDER.get(a, len(AUGMENTATION_ORDER)), a))


def roc_figure(curves: Mapping[tuple[str, str, str], Sequence[Curve]], methods: Sequence[str]) -> Figure:
    """Mean TPR over seeds at each FPR, both logarithmic; a row for each cell, a column for each attack.

    `curves[cell, attack, method]` holds the false and true positive rates of each seed.
    """
    cells = list(dict.fromkeys(cell for cell, _, _ in curves))
    attacks = list(dict.fromkeys(attack for _, attack, _ in curves))
    styles = method_styles(methods)
    figure, axes = new_figure(0.8 + 3.2 * len(attacks), 0.9 + 2.5 * len(cells), len(cells), len(attacks))
    for row, cell in zip(axes, cells, strict=True):
        for axis, attack in zip(row, attacks, strict=True):
            axis.plot(FPR_GRID, FPR_GRID, color="0.5", linewidth=1, linestyle=":")
            for i, (method, (colour, marker)) in enumerate(styles.items()):
                found = curves.get((cell, attack, method), [])
                if found:
                    x, y = mean_curve(found)
                    look = {"color": colour, "marker": marker, "markersize": 4, "markevery": (2 * i, 24)}
                    axis.plot(x, y, linestyle=DASHES[i % len(DASHES)], label=method, **look)
            axis.set(xscale="log", yscale="log", xlim=(1e-3, 1), ylim=(1e-3, 1), xlabel="FPR")
            axis.set_title(f"{cell}: {attack}", fontsize=9)
        row[0].set_ylabel("TPR")
    # One line of each method, from whichever panel has it.
    lines = {line.get_label(): line for axis in axes.flat for line in axis.get_lines() if line.get_label() in styles}
    shown = [lines[method] for method in styles if method in lines]
    figure.legend(handles=shown, loc="outside upper center", ncols=max(1, len(shown)), frameon=False)
    return figure


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """Mean TPR of several ROC curves at the rates of FPR_GRID that all of them resolve; step functions, unsmoothed."""
    finest = max(float(fpr[fpr > 0].min()) for fpr, _ in curves)
    x = FPR_GRID[finest - 1e-12 <= FPR_GRID]
    tpr = [tpr[np.searchsorted(fpr, x + 1e-12, side="right") - 1] for fpr, tpr in curves]
    return x, np.mean(tpr, axis=0)
