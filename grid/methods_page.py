"""docs/methods.md: every method with its cost, its settings, and the RTE that a folder of results measured."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence

from salun_grid.analysis.cells import Cell
from salun_grid.analysis.commands import load
from salun_grid.analysis.rows import Run
from salun_grid.analysis.view import Results
from salun_grid.grid.catalogue import FORGOTTEN, cost_in_words, epochs_of, needs_retain, written
from salun_grid.records.errors import InputError
from salun_grid.trainables.methods import METHODS
from salun_grid.trainables.settings import settings_of

NOT_MEASURED = "–"


def methods_page(measured: str | None = None) -> str:
    """The text of docs/methods.md: a table of all methods, then each method with its settings.

    `measured` is a folder or bucket with results of the methods at default settings. Raises InputError for one without.
    """
    results = load(measured) if measured else Results.of([])
    ratios = relative_rte(results.cells)
    if measured and not ratios:
        raise InputError(f"{measured} has no method with the retrain of its cell; give the folder of another study.")
    command = f"salun-grid methods --markdown{f' --measured {measured}' if measured else ''}"
    lines = [
        "# The methods",
        "",
        f"`{command}` generates this page.",
        "",
        "The settings are published defaults, not tuned for any dataset here; most were tuned by their authors for",
        f"CIFAR at 32 px. The column `epochs` is the cost in passes over all train images when {FORGOTTEN:.0%} are",
        "forgotten with default settings, including the mask.",
        *(["", source_of(results.runs, ratios)] if measured else []),
        "",
        "| method | idea | needs D_r | takes a mask | forget rules | epochs | RTE / retrain | paper |",
        "|---|---|---|---|---|---:|---:|---|",
    ]
    for name, method in METHODS.items():
        retains = "yes" if needs_retain(method) else "no"
        mask = "by default" if method.masked else "yes" if method.takes_mask else "no"
        forgets = ", ".join(method.forget_rules) or "any"
        cost = (f"{epochs_of(method):.2g}", rte_cell(ratios.get(name, [])))
        lines.append(line(f"[`{name}`](#{name})", method.idea, retains, mask, forgets, *cost, method.paper))
    for name, method in METHODS.items():
        lines += ["", f"## {name}", "", f"{method.idea} N{cost_in_words(method)[1:]}.", ""]
        lines += ["| setting | default | range | meaning | source |", "|---|---|---|---|---|"]
        for each in settings_of(method.settings):
            lines.append(line(f"`{each.name}`", written(each.default), each.allowed, each.doc, each.source))
    return "\n".join(lines)


def line(*cells: str) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def relative_rte(cells: Iterable[Cell]) -> dict[str, list[float]]:
    """RTE over the RTE of the retrain of the same cell on the same device, for each method."""
    ratios: dict[str, list[float]] = {}
    for run, target in ((cell.run, cell.target) for cell in cells):
        if run["role"] == "method" and target and target["device_name"] == run["device_name"]:
            ratios.setdefault(run["method"], []).append(run["seconds_total"] / target["seconds_total"])
    return ratios


def rte_cell(ratios: list[float]) -> str:
    """`0.26 ± 0.01`: mean and sample standard deviation."""
    if not ratios:
        return NOT_MEASURED
    spread = f" ± {statistics.stdev(ratios):.1g}" if len(ratios) > 1 else ""
    return f"{statistics.mean(ratios):.2g}{spread}"


def source_of(rows: Sequence[Run], ratios: Mapping[str, list[float]]) -> str:
    """What the column `RTE / retrain` was measured on."""
    counts = sorted({len(values) for values in ratios.values()})
    n = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    epochs = ", ".join(sorted({str(json.loads(row["protocol_json"])["training"]["epochs"]) for row in rows}))
    words = {
        name: ", ".join(sorted({str(row[name]) for row in rows}))
        for name in ("dataset", "image_size", "forget", "device_name", "torch_version")
    }
    return (
        "`RTE / retrain` is the time of mask and unlearning over the time of the retraining of the same seed, mean ± "
        f"sample standard deviation, n = {n}: {words['dataset']}, {words['image_size']} px, forget set "
        f"{words['forget']}, {epochs} epochs of retraining, {words['device_name']}, torch {words['torch_version']}."
    )
