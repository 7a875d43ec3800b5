"""Figure 2: AG by augmentation, dataset and forget rate, mean and spread over seeds."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis.errors import ResultsError, naming
from analysis.gaps import AUGMENTATION_ORDER, FLOORS, Summary, percent

# Okabe and Ito's palette, told apart by colour-blind readers; the hatches work in grey.
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"]
HATCHES = ["", "//", "..", "xx", "\\\\", "++"]


def average_gap_figure(summaries: list[Summary], provenance: str = "") -> Figure:
    """Bars of AG: a panel for each method and forget rate, bars by augmentation, a dot for each seed.

    With `provenance` the figure says below where it comes from; without, its caption has to.

    Raises ResultsError when no row has a retrain to compare with.
    """
    summaries = [summary for summary in summaries if summary.gaps and summary.method != "retrain"]
    if not summaries:
        raise ResultsError("no row has its retrain beside it, so there is no AG to draw; run the method `retrain` too.")
    methods = sorted({s.method for s in summaries}, key=lambda method: (method in FLOORS, method))
    rates = sorted({s.group.forget_rate for s in summaries})
    found = {s.group.augmentation for s in summaries}
    augmentations = [a for a in AUGMENTATION_ORDER if a in found] + sorted(found - set(AUGMENTATION_ORDER))
    size = (1.2 + 3.6 * len(rates), 1.2 + 2.7 * len(methods))
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(methods), len(rates), squeeze=False, sharey=True)
    for row, method in zip(axes, methods, strict=True):
        for axis, rate in zip(row, rates, strict=True):
            chosen = [s for s in summaries if s.method == method and s.group.forget_rate == rate]
            _panel(axis, chosen, augmentations)
            axis.set_title(f"{FLOORS.get(method, method)}, forgetting {percent(rate)}", fontsize=10)
        row[0].set_ylabel("AG (percentage points)")
    # Only now: a limit set on one shared axis stops all of them from growing with their data.
    axes[0][0].set_ylim(bottom=0)
    handles = [Patch(label=name, **_look(i)) for i, name in enumerate(augmentations)]
    figure.legend(handles=handles, title="augmentation", loc="outside upper center", ncols=len(handles), frameon=False)
    if provenance:
        figure.supxlabel(f"{caption(summaries)}\n{provenance}", fontsize=6, wrap=True)
    return figure


def caption(summaries: list[Summary]) -> str:
    """What the bars of `average_gap_figure` are, and n."""
    return f"{num_seeds(summaries)}; bars: mean, whiskers: ± standard deviation, dots: seeds."


def num_seeds(summaries: list[Summary]) -> str:
    """n of what is drawn beside a retrain, as `n = 3 seeds` or `n = 2–5 seeds`."""
    counts = sorted({len(s.ag_by_seed) for s in summaries if s.gaps and s.method != "retrain"})
    return f"n = {'–'.join(map(str, dict.fromkeys((counts[0], counts[-1]))))} seeds"


def _look(i: int) -> dict[str, Any]:
    return {"facecolor": COLOURS[i % len(COLOURS)], "hatch": HATCHES[i % len(HATCHES)], "edgecolor": "white"}


def _panel(axis: Axes, summaries: list[Summary], augmentations: list[str]) -> None:
    places = sorted({(s.group.dataset, s.group.image_size, s.group.protocol, s.group.model) for s in summaries})
    width = 0.8 / len(augmentations)
    for i, augmentation in enumerate(augmentations):
        bars = [s for s in summaries if s.group.augmentation == augmentation]
        if not bars:
            continue
        x = [
            places.index((s.group.dataset, s.group.image_size, s.group.protocol, s.group.model))
            + (i - (len(augmentations) - 1) / 2) * width
            for s in bars
        ]
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
    several = len({place[0] for place in places}) < len(places)
    names = [f"{d}\n{size} px{f', {protocol}' if several else ''}" for d, size, protocol, _ in places]
    axis.set_xlim(-0.5, max(len(places), 1) - 0.5)
    axis.set_xticks(range(len(places)), names, parse_math=False)
    if not places:
        axis.text(0.5, 0.5, "no rows", transform=axis.transAxes, ha="center")
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", alpha=0.3)
    axis.set_axisbelow(True)


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """The figure as PNG (200 dpi) and SVG in `folder`; returns both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.png", folder / f"{name}.svg"]
    for path in paths:
        with naming(path):
            figure.savefig(path, dpi=200, metadata={"Date": None} if path.suffix == ".svg" else None)
    return paths
