"""Figure 2: AG by augmentation, dataset and forget set, mean and spread over seeds."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from salun_grid.analysis.cells import AUGMENTATION_ORDER, Group
from salun_grid.analysis.fonts import draw
from salun_grid.analysis.gaps import CONTROLS, Summary
from salun_grid.records.errors import InputError, naming
from salun_grid.records.forget_label import forget_name, forget_order

# Okabe and Ito's palette is distinguishable to colour-blind readers; hatches distinguish bars in grey.
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"]
HATCHES = ["", "//", "..", "xx", "\\\\", "++"]
MOST_METHODS, MOST_PANELS = 6, 6  # limit of the panels of bars; above it, analysis/strips.py draws ranked strips
MOST_CHARACTERS = 44  # of a name in a figure; tables show it in full

Panel = tuple[str, int, str, str]


def panel_of(group: Group) -> Panel:
    """The key of a dataset's panel: dataset, image size, protocol, model."""
    return group.dataset, group.image_size, group.protocol, group.model


def panel_name(group: Group) -> str:
    """The name of a dataset's panel."""
    return f"{group.dataset} {group.image_size} px, {group.protocol}"


def panel_title(group: Group) -> str:
    """`panel_name` as displayed in a figure."""
    return f"{label(group.dataset)} {group.image_size} px, {label(group.protocol)}"


def with_gaps(summaries: Sequence[Summary]) -> list[Summary]:
    """The summaries with an AG, without retrains. Raises InputError if there are none."""
    found = [summary for summary in summaries if summary.gaps and summary.method != "retrain"]
    if not found:
        raise InputError("no row has a retrain of its cell, so there is no AG to draw; run the method `retrain` too.")
    return found


def in_order(augmentations: set[str]) -> list[str]:
    """Augmentations in the paper's order, others after them."""
    return sorted(augmentations, key=lambda a: (AUGMENTATION_ORDER.get(a, len(AUGMENTATION_ORDER)), a))


def ranked(summaries: Sequence[Summary]) -> list[str]:
    """Variants sorted by mean AG over all cells of `summaries`, NaN last."""
    values: dict[str, list[float]] = {}
    for summary in summaries:
        values.setdefault(summary.method, []).append(summary.gaps["ag"].mean)
    means = {method: float(np.mean(own)) for method, own in values.items()}
    return sorted(means, key=lambda method: (np.isnan(means[method]), means[method], method))


def label(text: str) -> str:
    """A name as displayed in figures: shortened in the middle if long, with dollar signs escaped."""
    cut = max(0, len(text) - MOST_CHARACTERS)
    middle = (len(text) - cut) // 2
    short = f"{text[:middle]}…{text[len(text) - middle :]}" if cut else text
    return re.sub(r"\$", r"\\$", short)


def legend_above(figure: Figure, handles: Sequence[Artist], **options: Any) -> None:
    """Draw a legend above all axes, in as many columns as fit the width."""
    if not handles:
        return
    widest = 0.6 + 0.085 * max(len(str(handle.get_label())) for handle in handles)  # inches
    columns = max(1, min(len(handles), int(figure.get_figwidth() / widest)))
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, frameon=False, **options)


def average_gap_figure(summaries: Sequence[Summary], provenance: str = "") -> Figure:
    """Bars of AG: one panel per method and forget set, bars by augmentation, one dot per seed.

    `provenance` is printed below the figure; without it, the caption must give it.

    Raises InputError if no row has a retrain to compare with.
    """
    summaries = with_gaps(summaries)
    methods = sorted({s.method for s in summaries}, key=lambda method: (method in CONTROLS, method))
    forgets = sorted({s.group.forget for s in summaries}, key=forget_order)
    augmentations = in_order({s.group.augmentation for s in summaries})
    cells: dict[tuple[str, str], list[Summary]] = {}
    for summary in summaries:
        cells.setdefault((summary.method, summary.group.forget), []).append(summary)
    size = (1.2 + 3.6 * len(forgets), 1.2 + 2.7 * len(methods))
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(methods), len(forgets), squeeze=False, sharey=True)
    for row, method in zip(axes, methods, strict=True):
        for axis, forget in zip(row, forgets, strict=True):
            _panel(axis, cells.get((method, forget), []), augmentations)
            axis.set_title(
                f"{label(CONTROLS.get(method, method))}, forgetting {forget_name(forget)}", fontsize=10, wrap=True
            )
        row[0].set_ylabel("AG (percentage points)")
    # Set last, because a limit on one shared axis stops autoscaling on all.
    axes[0][0].set_ylim(bottom=0)
    handles = [Patch(label=label(name), **_look(i)) for i, name in enumerate(augmentations)]
    legend_above(figure, handles, title="augmentation")
    if provenance:
        figure.supxlabel(f"{caption(summaries)}\n{provenance}", fontsize=6, wrap=True)
    return figure


def caption(summaries: Sequence[Summary]) -> str:
    """Caption of `average_gap_figure`: what the bars show, and n."""
    return f"{num_seeds(summaries)}; bars: mean, whiskers: ± standard deviation, dots: seeds."


def num_seeds(summaries: Sequence[Summary]) -> str:
    """The number of seeds with a retrain, as `n = 3 seeds` or `n = 2–5 seeds`."""
    counts = sorted({len(s.ag_by_seed) for s in summaries if s.gaps and s.method != "retrain"})
    return f"n = {'–'.join(map(str, dict.fromkeys((counts[0], counts[-1]))))} seeds"


def _look(i: int) -> dict[str, Any]:
    return {"facecolor": COLOURS[i % len(COLOURS)], "hatch": HATCHES[i % len(HATCHES)], "edgecolor": "white"}


def _panel(axis: Axes, summaries: Sequence[Summary], augmentations: list[str]) -> None:
    panels = sorted({panel_of(s.group) for s in summaries})
    width = 0.8 / len(augmentations)
    for i, augmentation in enumerate(augmentations):
        bars = [s for s in summaries if s.group.augmentation == augmentation]
        if not bars:
            continue
        x = [panels.index(panel_of(s.group)) + (i - (len(augmentations) - 1) / 2) * width for s in bars]
        sd = [0.0 if np.isnan(s.gaps["ag"].sd) else s.gaps["ag"].sd for s in bars]
        axis.bar(
            x,
            [s.gaps["ag"].mean for s in bars],
            0.9 * width,
            yerr=sd,
            label=augmentation,
            error_kw={"elinewidth": 1, "capsize": 3},
            **_look(i),
        )
        for centre, summary in zip(x, bars, strict=True):
            dots = list(summary.ag_by_seed.values())
            axis.plot([centre] * len(dots), dots, "o", color="black", markersize=3, alpha=0.6)
    several = len({panel[0] for panel in panels}) < len(panels)
    names = [f"{label(d)}\n{size} px{f', {label(protocol)}' if several else ''}" for d, size, protocol, _ in panels]
    axis.set_xlim(-0.5, max(len(panels), 1) - 0.5)
    axis.set_xticks(range(len(panels)), names)
    if not panels:
        axis.text(0.5, 0.5, "no rows", transform=axis.transAxes, ha="center")
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", alpha=0.3)
    axis.set_axisbelow(True)


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write the figure as PNG (200 dpi) and SVG to `folder`; returns both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.png", folder / f"{name}.svg"]
    for path in paths:
        with naming(path):
            draw(figure, path, dpi=200, metadata={"Date": None} if path.suffix == ".svg" else None)
    return paths


def save_pages(pages: Sequence[Figure], folder: Path, name: str) -> list[Path]:
    """Write each page as `save` does, as `name`, `name_2` and so on; remove pages of an earlier drawing."""
    paths = [
        path for i, page in enumerate(pages, start=1) for path in save(page, folder, name if i == 1 else f"{name}_{i}")
    ]
    for old in folder.glob(f"{name}_*"):
        if re.fullmatch(rf"{re.escape(name)}_\d+\.(png|svg)", old.name) and old not in paths:
            with naming(old):
                old.unlink()
    return paths
