"""`salun-analysis`: tables, figure and report from the Parquet in a run's out folder."""

from pathlib import Path

import click

from analysis import figures, report, tables
from analysis.errors import ResultsError
from analysis.gaps import summarise
from analysis.results import read_runs

FOLDER = click.argument("folder", metavar="DIR")


class Commands(click.Group):
    """Turns a user's mistake into one sentence and exit status 2."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ResultsError as error:
            raise click.UsageError(str(error)) from None
        except OSError as error:
            raise click.UsageError(f"cannot write {error.filename}: {error.strerror}.") from None


@click.group(cls=Commands)
def main() -> None:
    """Evidence from the Parquet that a run left in DIR. Needs neither a GPU, nor Ray, nor torch."""


@main.command("tables")
@FOLDER
@click.option("--format", "form", type=click.Choice(list(tables.FORMATS)), default="terminal", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Write to this file instead of the terminal.")
def tables_command(folder: str, form: str, out: Path | None) -> None:
    """Tables 1 and 2: UA RA TA MIA AG RTE, a table for each forget rate, the gap beside each value."""
    runs = read_runs(folder)
    text = tables.FORMATS[form](tables.make_tables(summarise(runs), tables.provenance_of(runs)))
    if out:
        out.write_text(text, encoding="utf-8")
        click.echo(out)
    else:
        click.echo(text, nl=False)


@main.command("figure")
@FOLDER
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the pictures  [default: DIR/figures]")
def figure_command(folder: str, out: Path | None) -> None:
    """Figure 2: AG by augmentation, dataset and forget rate, as PNG and SVG."""
    for path in draw_figure(folder, out):
        click.echo(path)


def draw_figure(folder: str, out: Path | None = None) -> list[Path]:
    """Draw Figure 2 of `folder`; returns the paths of the PNG and the SVG."""
    runs = read_runs(folder)
    figure = figures.average_gap_figure(summarise(runs), tables.provenance_of(runs))
    return figures.save(figure, out or Path(folder, "figures"), "average_gap")


@main.command("report")
@FOLDER
@click.option("--out", type=click.Path(path_type=Path), help="The page's file  [default: DIR/report.html]")
def report_command(folder: str, out: Path | None) -> None:
    """One HTML page with the tables, the figure and the command behind each row."""
    runs = read_runs(folder)
    summaries, provenance = summarise(runs), tables.provenance_of(runs)
    try:
        figure = figures.average_gap_figure(summaries, provenance)
    except ResultsError:
        figure = None
    out = out or Path(folder, "report.html")
    title = f"Unlearning results: {', '.join(sorted({run['study'] for run in runs}))}"
    out.write_text(report.to_html(title, tables.make_tables(summaries, provenance), figure, runs), encoding="utf-8")
    click.echo(out)
