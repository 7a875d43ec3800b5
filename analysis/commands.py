"""The commands of `salun-analysis`, without the parsing of the command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from salun_grid.analysis.completeness import checked, progress, remarks
from salun_grid.analysis.formats import FORMATS
from salun_grid.analysis.results import has_rows, read_runs
from salun_grid.analysis.tables import make_tables
from salun_grid.analysis.view import Results
from salun_grid.records.errors import InputError, naming
from salun_grid.records.storage import pictures_path
from salun_grid.records.text import printable_row

if TYPE_CHECKING:  # imports scikit-learn, which tables and plans do without
    from salun_grid.analysis.verdicts import Verdict


def load(folder: str) -> Results:
    """The Results of a folder, each job once. Raises InputError for damaged or duplicate rows."""
    return Results.of(checked([printable_row(run) for run in read_runs(folder)]))


def tables_text(folder: str, form: str = "terminal") -> str:
    """The tables of a folder in one of the formats of `FORMATS`."""
    results = load(folder)
    return FORMATS[form](make_tables(results.summaries, results.provenance, remarks(results.cells)))


def verdicts_text(folder: str, form: str = "terminal", margin: float | None = None) -> str:
    """What the results support for each method, in one of the formats of `FORMATS`.

    `margin` replaces the declared one. CSV holds the primary question alone.
    """
    from salun_grid.analysis import verdict_tables

    results, question = load(folder), verdict_tables.question_of(folder, margin)
    verdicts, found = verdict_tables.answers(folder, results, question)
    if not verdicts:
        raise InputError(f"{folder} holds retrains only; run `original` and a method too.")
    flaws = remarks(results.cells, question.margin_points)
    tables = [verdict_tables.verdict_table(verdicts, question, results.provenance, flaws)]
    if found and form != "csv":
        tables.append(verdict_tables.exploratory_table(found, results.provenance))
    return FORMATS[form](tables)


def answer_lines(folder: str) -> list[str]:
    """A sentence for each method, for the end of a run; empty where there is nothing to compare with."""
    from salun_grid.analysis.verdicts import overall

    return overall(verdicts_in(folder))


def verdicts_in(folder: str) -> "list[Verdict]":
    """The verdict on each method and control of a folder, by its declared question."""
    from salun_grid.analysis import verdict_tables

    return verdict_tables.answers(folder, load(folder), verdict_tables.question_of(folder))[0]


def metrics_text(folder: str, names: tuple[str, ...], non_members: str, form: str = "terminal") -> str:
    """The named metrics from predictions (none: the headline ones), in one of the formats of `FORMATS`."""
    from salun_grid.analysis.catalogue import METRICS, headline
    from salun_grid.analysis.evidence import measure
    from salun_grid.analysis.metric_table import metric_table

    for name in names:
        if name not in METRICS:
            raise InputError(f"there is no metric {name!r}; `salun-analysis metrics --list` names them.")
        if METRICS[name].per_class:
            raise InputError(f"{name} has a value for each class; `salun-analysis export DIR` writes them all.")
    results = load(folder)
    chosen = names or headline(run["forget_rule"] for run in results.runs)
    measured = list(measure(folder, results.cells, chosen, non_members))
    table = metric_table(measured, results.summaries, chosen, results.provenance, remarks(results.cells))
    return FORMATS[form]([table])


def measures_text(folder: str, form: str = "terminal") -> str:
    """The measures of the probes, in one of the formats of `FORMATS`. Raises InputError if there are none."""
    from salun_grid.analysis.measures import tables_of

    # CSV has one header, and tables of different probes have different columns.
    return "\n".join(FORMATS[form]([table]) for table in tables_of(folder))


def metrics_list() -> str:
    """A line for each metric: name, unit, meaning, paper."""
    from salun_grid.analysis.catalogue import METRICS

    return "".join(f"{name:24} {m.unit:8} {m.meaning} ({m.source})\n" for name, m in METRICS.items())


def compare_text(first: str, second: str, form: str = "terminal") -> str:
    """A comparison of two folders, in one of the formats of `FORMATS`."""
    from salun_grid.analysis.compare import compare

    return FORMATS[form]([compare(load(first), load(second))])


def export_text(folder: str, non_members: str, with_predictions: bool = True) -> str:
    """All runs and metrics of a folder as one tidy CSV; metrics from predictions are optional."""
    from salun_grid.analysis.catalogue import METRICS
    from salun_grid.analysis.evidence import measure
    from salun_grid.analysis.export import tidy_csv

    results = load(folder)
    measured = measure(folder, results.cells, list(METRICS), non_members) if with_predictions else ()
    return tidy_csv(results.cells, measured)


def draw_figure(folder: str, out: Path | None = None) -> list[Path]:
    """Draw Figure 2 of a folder; returns the paths of the PNG and SVG of each page."""
    from salun_grid.analysis import figures, strips  # importing matplotlib takes seconds, and tables do not need it

    results = load(folder)
    pages = strips.average_gap_pages(results.summaries, results.provenance)
    return figures.save_pages(pages, out or pictures_path(folder, "figures"), "average_gap")


def write_report(
    folder: str, out: Path | None = None, margin: float | None = None, images: Sequence[Path] = ()
) -> Path:
    """Write the HTML page of a folder; returns its path."""
    from salun_grid.analysis.report import report_html

    only_begun = bool(progress(folder, [])) and not has_rows(folder, "runs")
    text = report_html(folder, Results.of([]) if only_begun else load(folder), margin, images)
    out = out or pictures_path(folder, "report.html")
    with naming(out):
        out.write_text(text, encoding="utf-8")
    return out
