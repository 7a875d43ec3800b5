"""The figure sections of the report: which variants they show, and on how many pages."""

from collections import defaultdict
from collections.abc import Sequence

from salun_grid.analysis import curves, figures, plots
from salun_grid.analysis.gaps import NOT_METHODS, Summary
from salun_grid.analysis.page import Section, drawings
from salun_grid.analysis.strips import MARKERS, average_gap_pages, fits_panels, pages_of, strip_caption
from salun_grid.records.errors import InputError


def gap_sections(summaries: Sequence[Summary], margin: float, shown: Sequence[str]) -> list[Section]:
    """Figure 2, the trade-off and the signed gaps of the methods in `shown`; a sentence if no row has its retrain.

    `margin` is in percentage points.
    """
    try:
        average = average_gap_pages(summaries)
    except InputError as error:
        return [Section(paragraphs=[f"No figures of gaps: {error}"])]
    n = f"{figures.num_seeds(summaries)}."
    marks = figures.caption(summaries) if fits_panels(summaries) else strip_caption(summaries)
    trade = (
        "Lower left is better: close to the retrain, and cheap. A dashed line is AG of the no-op, at no cost. Of more "
        f"than {len(MARKERS)} methods those are named that no other beats in both. {n}"
    )
    trades = [plots.trade_off(own) for own in _some_datasets(summaries)]
    band = (
        "Mean signed gap and its 95 % Student interval, truncated where it ends in an arrow; the band is "
        f"±{margin:g} points. Rows are cells. {limited(summaries)}{n}"
    )
    signed = plots.signed_gap_figures([summary for summary in summaries if summary.method in shown], margin)
    parts = [Section(panel, drawings=drawings(own, f"signed gaps, {panel}", band)) for panel, own in signed.items()]
    return [
        Section("Figure 2: AG by augmentation", drawings=drawings(average, "AG by augmentation", marks)),
        Section("AG against RTE", drawings=drawings(trades, "AG against RTE", trade)),
        Section("Sensitivity to augmentation and forget set", parts=parts),
    ]


def _some_datasets(summaries: Sequence[Summary]) -> list[list[Summary]]:
    """The summaries with gaps, a few datasets at a time."""
    by_panel: dict[tuple, list[Summary]] = defaultdict(list)
    for summary in summaries:
        if summary.gaps:
            by_panel[figures.panel_of(summary.group)].append(summary)
    return [[s for own in some for s in own] for some in pages_of(list(by_panel.values()), figures.MOST_PANELS)]


def closest(summaries: Sequence[Summary]) -> list[str]:
    """The retrain, the controls, and as many variants with the lowest AG as a figure of curves can show."""
    others = [s for s in summaries if s.method not in NOT_METHODS]
    best = figures.ranked([s for s in others if s.gaps]) or list(dict.fromkeys(s.method for s in others))
    shown = NOT_METHODS.union(best[: figures.MOST_METHODS])
    return [method for method in dict.fromkeys(s.method for s in summaries) if method in shown]


def limited(summaries: Sequence[Summary]) -> str:
    """A sentence if `closest` leaves variants out, else empty."""
    num = len({s.method for s in summaries} - NOT_METHODS)
    most = figures.MOST_METHODS
    return f"Of {num} methods the {most} with the lowest AG are shown. " if num > most else ""


def training_section(folder: str, summaries: Sequence[Summary] = (), shown: Sequence[str] = ()) -> Section:
    """Training curves of the variants in `shown` and of the controls; of all methods where no row exists yet."""
    try:
        rows = curves.training_rows(folder)
    except InputError as error:
        return Section(paragraphs=[f"No training curves: {error}"])
    methods = NOT_METHODS.union(s.base for s in summaries if s.method in shown)
    rows = [row for row in rows if not summaries or row["method"] in methods]
    caption = (
        "In train mode, augmented; means over all seeds, forget sets, protocols and settings of a method, bands from "
        f"the smallest to the largest. {limited(summaries)}"
    )
    panels = sorted({(row["dataset"], row["image_size"]) for row in rows})
    drawn = [
        curves.training_curves([row for row in rows if (row["dataset"], row["image_size"]) in own])
        for own in pages_of(panels, figures.MOST_PANELS)
    ]
    return Section("Training curves", drawings=drawings(drawn, "training curves", caption))
