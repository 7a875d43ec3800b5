"""What the commands of `salun-analysis` do, apart from reading the command line."""

from pathlib import Path

from analysis import tables
from analysis.errors import ResultsError
from analysis.gaps import summarise
from analysis.results import read_runs
from analysis.storage import pictures_path


def tables_text(folder: str, form: str = "terminal") -> str:
    """The tables of a folder in one of the formats of `tables.FORMATS`."""
    runs = read_runs(folder)
    return tables.FORMATS[form](tables.make_tables(summarise(runs), tables.provenance_of(runs)))


def draw_figure(folder: str, out: Path | None = None) -> list[Path]:
    """Draw Figure 2 of a folder; returns the paths of the PNG and the SVG."""
    from analysis import figures  # matplotlib costs seconds, and tables do without

    runs = read_runs(folder)
    figure = figures.average_gap_figure(summarise(runs), tables.provenance_of(runs))
    return figures.save(figure, out or pictures_path(folder, "figures"), "average_gap")


def write_report(folder: str, out: Path | None = None) -> Path:
    """Write the HTML page of a folder; returns its path."""
    from analysis import figures, report

    runs = read_runs(folder)
    summaries, provenance = summarise(runs), tables.provenance_of(runs)
    try:
        figure = figures.average_gap_figure(summaries, provenance)
    except ResultsError:
        figure = None
    out = out or pictures_path(folder, "report.html")
    title = f"Unlearning results: {', '.join(sorted({run['study'] for run in runs}))}"
    out.write_text(report.to_html(title, tables.make_tables(summaries, provenance), figure, runs), encoding="utf-8")
    return out
