"""What probes found, as tables: one for each probe, metric and protocol, a column for each element."""

import json
from collections import defaultdict
from collections.abc import Sequence

from salun_grid.analysis.cells import labelled
from salun_grid.analysis.results import read_table
from salun_grid.analysis.rows import Run
from salun_grid.analysis.statistics import Spread, spread
from salun_grid.analysis.tables import Table, plus_minus
from salun_grid.records.forget_label import forget_name
from salun_grid.records.text import printable_row

PLACE = ("Dataset", "Augmentation", "Method", "Forget")
Values = dict[int, dict[int | None, float]]  # by seed, then element


def tables_of(folder: str) -> list[Table]:
    """The tables of a folder's measures. Raises InputError where it has none."""
    rows = [printable_row(row) for row in read_table(folder, "measures").to_pylist()]
    devices, versions = ({row[name] for row in rows} for name in ("device_name", "code_version"))
    return measure_tables(rows, f"On {', '.join(sorted(devices))}; salun-grid {', '.join(sorted(versions))}.")


def measure_tables(rows: Sequence[Run], provenance: str) -> list[Table]:
    """`rows` of `measures` as tables: mean ± sample standard deviation over seeds, the gap to the retrain in brackets.

    The gap is the mean difference to the retrain of the same seed; it is left out without a retrain.
    """
    tables: dict[tuple, dict[tuple, Values]] = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    for row, group, method in labelled(rows):
        table = (group.protocol, row["probe"], row["probe_params"], row["metric"], row["unit"])
        tables[table][group, method][row["seed"]][row["element"]] = row["value"]
    return [_table(key, cells, provenance) for key, cells in tables.items()]


def _table(key: tuple, cells: dict[tuple, Values], provenance: str) -> Table:
    protocol, probe, params, metric, unit = key
    elements = sorted({e for values in cells.values() for own in values.values() for e in own}, key=lambda e: e or 0)
    rows = []
    for (group, method), values in cells.items():
        retrain = {} if method == "retrain" else cells.get((group, "retrain"), {})
        found = [_cell(values, retrain, element) for element in elements]
        labels = [f"{group.dataset} {group.image_size}px", group.augmentation, method, forget_name(group.forget)]
        rows.append([*labels, *found, str(len(values))])
    settings = ", ".join(f"{name} {value}" for name, value in json.loads(params).items())
    names = ["value" if element is None else str(element) for element in elements]
    note = (
        f"{metric} in {unit}; mean ± sample standard deviation over n seeds; in brackets the mean difference to the "
        f"retrain of the same seed, which is the target. Probe {probe}: {settings}. {provenance}"
    )
    return Table(f"{metric}, protocol {protocol}", rows, note, (*PLACE, *names, "n"))


def _cell(values: Values, retrain: Values, element: int | None) -> str:
    own = [by_element[element] for by_element in values.values() if element in by_element]
    if not own:
        return "–"
    gaps = [
        by_element[element] - retrain[seed][element]
        for seed, by_element in values.items()
        if element in by_element and element in retrain.get(seed, {})
    ]
    gap: Spread | None = spread(gaps) if gaps else None
    return plus_minus(spread(own), digits=3) + (f" ({gap.mean:+.3f})" if gap else "")
