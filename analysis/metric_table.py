"""The metrics from predictions as one table: a row for each method of each cell, over its seeds."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from salun_grid.analysis.catalogue import METRICS
from salun_grid.analysis.evidence import Measured
from salun_grid.analysis.gaps import Summary
from salun_grid.analysis.statistics import spread
from salun_grid.analysis.tables import Table, plus_minus
from salun_grid.records.forget_label import forget_name

PLACE = ("Dataset", "Augmentation", "Method", "Forget")


def metric_table(
    measured: Iterable[Measured],
    summaries: Sequence[Summary],
    names: Sequence[str],
    provenance: str,
    remarks: str = "",
) -> Table:
    """Mean ± sample standard deviation over seeds; a dash if a seed has no value, with the reason in the note.

    Rows follow the order of `summaries`, retrain and controls first. Per-class metrics are left out.
    """
    values: dict[tuple, list[float]] = defaultdict(list)
    reasons: dict[str, dict[str, None]] = defaultdict(dict)
    for one in measured:
        if one.element is None:
            values[one.cell.group, one.cell.method, one.metric].append(one.value)
        if one.reason:
            reasons[one.reason][one.metric] = None
    rows = []
    for summary in summaries:
        group = summary.group
        labels = [f"{group.dataset} {group.image_size}px, {group.protocol}", group.augmentation, summary.method]
        cells = [_cell(values[group, summary.method, name]) for name in names]
        rows.append([*labels, forget_name(group.forget), *cells, str(len(summary.seeds))])
    columns = (*PLACE, *(f"{name}{_unit(name)}" for name in names), "n")
    return Table("Metrics from predictions", rows, _note(names, reasons, provenance, remarks), columns)


def _cell(values: list[float]) -> str:
    known = [value for value in values if value == value]
    if len(known) < len(values) or not values:
        return f"– ({len(known)} of {len(values)})" if known else "–"
    return plus_minus(spread(values), digits=3)


def _unit(name: str) -> str:
    unit = METRICS[name].unit
    return f" ({'%' if unit == 'percent' else unit})" if unit else ""


def _note(names: Sequence[str], reasons: dict[str, dict[str, None]], provenance: str, remarks: str) -> str:
    meanings = "; ".join(f"{name}: {METRICS[name].meaning} ({METRICS[name].source})" for name in names)
    absent = " ".join(f"No {', '.join(metrics)}: {reason}." for reason, metrics in reasons.items())
    return (
        "Mean ± sample standard deviation over n seeds. No value is good by itself: the target is that of `retrain`, "
        "`retrain-again` shows what two retrainings differ by, `original` what the no-op gives. "
        f"{meanings}. {absent} {provenance} {remarks}"
    ).strip()
