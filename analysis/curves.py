"""Curves of the report: training accuracy by epoch, and ROC curves of the attacks."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from salun_grid.analysis.figures import COLOURS, in_order, label, legend_above
from salun_grid.analysis.gaps import NO_OP
from salun_grid.analysis.plots import method_styles, new_figure
from salun_grid.analysis.results import Run, read_table
from salun_grid.records.text import printable_row

DASHES: list[Any] = ["-", "--", ":", "-."]
AGGREGATES = {"mean": "mean", "min": "low", "max": "high"}
LEFT_OUT = ["forget", "attack", "sample"]
FPR_GRID = np.geomspace(1e-3, 1.0, 121)

Curve = tuple[np.ndarray, np.ndarray]


def training_rows(folder: str) -> list[Run]:
    """`mean`, `low` and `high` train accuracy (percent) by epoch, over all seeds, forget sets and models.

    One row per dataset, image_size, method, augmentation and epoch. Passes of an unlearning over D_f, whose labels may
    be wrong on purpose, and over attacked or sampled images are left out.
    """
    keys = ["dataset", "image_size", "method", "augmentation", "epoch"]
    table = read_table(folder, "epochs", [*keys, "phase", "accuracy"])
    passes = table.filter(pc.invert(pc.is_in(table["phase"], pa.array(LEFT_OUT))))
    spread = passes.group_by(keys).aggregate([("accuracy", kind) for kind in ("mean", "min", "max")])
    rows = spread.rename_columns({f"accuracy_{kind}": name for kind, name in AGGREGATES.items()}).to_pylist()
    return [printable_row(row) for row in rows]


def training_curves(rows: Sequence[Run]) -> Figure:
    """Training accuracy by epoch: one panel per dataset and kind of training, one line per augmentation.

    `rows` are those of `training_rows`; lines are means, bands span minimum to maximum.
    """
    lines: dict[tuple, list[Run]] = defaultdict(list)
    for row in rows:
        lines[row["dataset"], row["image_size"], row["method"], row["augmentation"]].append(row)
    panels = sorted({key[:2] for key in lines})
    methods = sorted({key[2] for key in lines}, key=lambda m: (m != NO_OP, m))
    augmentations = in_order({key[3] for key in lines})
    figure, axes = new_figure(0.8 + 2.5 * len(methods), 0.9 + 2.2 * len(panels), len(panels), len(methods))
    for row_of_axes, panel in zip(axes, panels, strict=True):
        for axis, method in zip(row_of_axes, methods, strict=True):
            for i, augmentation in enumerate(augmentations):
                found = sorted(lines.get((*panel, method, augmentation), []), key=lambda row: row["epoch"])
                x, colour = [row["epoch"] for row in found], COLOURS[i % len(COLOURS)]
                look: dict[str, Any] = {"color": colour, "linestyle": DASHES[i % len(DASHES)]}
                axis.plot(x, [row["mean"] for row in found], marker="o" if len(x) == 1 else None, **look)
                low, high = [row["low"] for row in found], [row["high"] for row in found]
                axis.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
            axis.set_title(f"{label(panel[0])} {panel[1]} px, {label(method)}", fontsize=9, wrap=True)
            axis.set_xlabel("epoch")
            axis.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
        row_of_axes[0].set_ylabel("train accuracy (%)")
    handles = [
        Line2D([], [], color=COLOURS[i % len(COLOURS)], linestyle=DASHES[i % len(DASHES)], label=label(a))
        for i, a in enumerate(augmentations)
    ]
    legend_above(figure, handles)
    return figure


def roc_figure(curves: Mapping[tuple[str, str, str], Sequence[Curve]], methods: Sequence[str]) -> Figure:
    """Mean TPR over seeds against FPR on logarithmic axes; one row per cell, one column per attack.

    `curves[cell, attack, method]` holds the false and true positive rates of each seed.
    """
    cells = list(dict.fromkeys(cell for cell, _, _ in curves))
    attacks = list(dict.fromkeys(attack for _, attack, _ in curves))
    styles = method_styles(methods)
    lines: dict[str, Line2D] = {}
    figure, axes = new_figure(0.8 + 3.2 * len(attacks), 0.9 + 2.5 * len(cells), len(cells), len(attacks))
    for row, cell in zip(axes, cells, strict=True):
        for axis, attack in zip(row, attacks, strict=True):
            axis.plot(FPR_GRID, FPR_GRID, color="0.5", linewidth=1, linestyle=":")
            for i, (method, (colour, marker)) in enumerate(styles.items()):
                found = curves.get((cell, attack, method), [])
                if found:
                    x, y = mean_curve(found)
                    look = {"color": colour, "marker": marker, "markersize": 4, "markevery": (2 * i, 24)}
                    # The legend takes one line per method, from any panel that has it.
                    (lines[method],) = axis.plot(x, y, linestyle=DASHES[i % len(DASHES)], label=label(method), **look)
            axis.set(xscale="log", yscale="log", xlim=(1e-3, 1), ylim=(1e-3, 1), xlabel="FPR")
            axis.set_title(f"{label(cell)}: {attack}", fontsize=9)
        row[0].set_ylabel("TPR")
    shown = [lines[method] for method in styles if method in lines]
    legend_above(figure, shown)
    return figure


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """Mean TPR of several ROC curves, as step functions, at the rates of FPR_GRID that all of them resolve."""
    finest = max(float(fpr[fpr > 0].min()) for fpr, _ in curves)
    x = FPR_GRID[finest - 1e-12 <= FPR_GRID]
    tpr = [tpr[np.searchsorted(fpr, x + 1e-12, side="right") - 1] for fpr, tpr in curves]
    return x, np.mean(tpr, axis=0)
