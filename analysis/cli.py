"""`salun-analysis`: tables, figure and report from the Parquet in a run's out folder.

Imports only click, so that `--help` answers at once.
"""

from pathlib import Path

import click

from salun_grid.analysis.command_line import Commands
from salun_grid.records.errors import naming

FOLDER = click.argument("folder", metavar="DIR")
MARGIN = click.option(
    "--margin",
    type=click.FloatRange(min=0, min_open=True),
    help="Equivalence margin, in percentage points, in place of the study's own.",
)
NON_MEMBERS = click.option(
    "--non-members",
    type=click.Choice(["val", "test"]),
    default="val",
    show_default=True,
    help="Split that provides the non-members of the attacks.",
)
FORMATS = ("terminal", "markdown", "csv", "latex")
FORMAT = click.option("--format", "form", type=click.Choice(FORMATS), default="terminal", show_default=True)
TEXT_FILE = click.option("--out", type=click.Path(path_type=Path), help="Write to this file instead of the terminal.")


@click.group(cls=Commands)
@click.version_option(package_name="salun-grid")
def main() -> None:
    """Analyse the Parquet that a run wrote to DIR. Needs neither a GPU, nor Ray, nor torch."""


def _deliver(text: str, out: Path | None) -> None:
    """Print `text`, or write it to `out` and print the path."""
    if out:
        with naming(out):
            out.write_text(text, encoding="utf-8")
        click.echo(out)
    else:
        click.echo(text, nl=False)


@main.command("tables")
@FOLDER
@FORMAT
@TEXT_FILE
def tables_command(folder: str, form: str, out: Path | None) -> None:
    """Tables 1 and 2: UA RA TA MIA AG RTE, one table per forget set, with the gap to the retrain."""
    from salun_grid.analysis.commands import tables_text

    _deliver(tables_text(folder, form), out)


@main.command("verdicts")
@FOLDER
@MARGIN
@FORMAT
@TEXT_FILE
def verdicts_command(folder: str, margin: float | None, form: str, out: Path | None) -> None:
    """What the results support for each method: equivalent to retraining, better than the no-op, undecided."""
    from salun_grid.analysis.commands import verdicts_text

    _deliver(verdicts_text(folder, form, margin), out)


@main.command("metrics")
@click.argument("folder", metavar="DIR", required=False)
@click.option("--metric", "names", multiple=True, metavar="NAME", help="A metric of `--list`; may be repeated.")
@click.option("--list", "listing", is_flag=True, help="List every metric with unit, meaning and paper.")
@NON_MEMBERS
@FORMAT
@TEXT_FILE
def metrics_command(
    folder: str | None, names: tuple[str, ...], listing: bool, non_members: str, form: str, out: Path | None
) -> None:
    """Attacks, divergences, calibration and more, computed from the predictions. `--list` needs no DIR."""
    from salun_grid.analysis.commands import metrics_list, metrics_text

    if listing:
        _deliver(metrics_list(), out)
    elif folder is None:
        raise click.UsageError("Missing argument 'DIR'.")
    else:
        _deliver(metrics_text(folder, names, non_members, form), out)


@main.command("measures")
@FOLDER
@FORMAT
@TEXT_FILE
def measures_command(folder: str, form: str, out: Path | None) -> None:
    """Measures of the study's probes, such as relearning: one table per probe and metric."""
    from salun_grid.analysis.commands import measures_text

    _deliver(measures_text(folder, form), out)


@main.command("compare")
@click.argument("first", metavar="DIR1")
@click.argument("second", metavar="DIR2")
@FORMAT
@TEXT_FILE
def compare_command(first: str, second: str, form: str, out: Path | None) -> None:
    """Compare two studies cell by cell, and list the differences of their protocols."""
    from salun_grid.analysis.commands import compare_text

    _deliver(compare_text(first, second, form), out)


@main.command("export")
@FOLDER
@click.option("--no-predictions", is_flag=True, help="Only the metrics in `runs`: seconds instead of minutes.")
@NON_MEMBERS
@TEXT_FILE
def export_command(folder: str, no_predictions: bool, non_members: str, out: Path | None) -> None:
    """Tidy CSV with one row per run and metric, and the retrain's value."""
    from salun_grid.analysis.commands import export_text

    _deliver(export_text(folder, non_members, not no_predictions), out)


@main.command("figure")
@FOLDER
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for the figures  [default: DIR/figures; ./figures for a bucket]",
)
def figure_command(folder: str, out: Path | None) -> None:
    """Figure 2: AG by augmentation, dataset and forget set, as PNG and SVG."""
    from salun_grid.analysis.commands import draw_figure

    for path in draw_figure(folder, out):
        click.echo(path)


@main.command("report")
@FOLDER
@MARGIN
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE.npz",
    help="Dataset file with the pixels of the worst forgotten images; repeat the option for several.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="File of the page  [default: DIR/report.html; ./report.html for a bucket]",
)
def report_command(folder: str, margin: float | None, images: tuple[Path, ...], out: Path | None) -> None:
    """One HTML page: verdicts, tables, figures, attacks, and the command of each row."""
    from salun_grid.analysis.commands import write_report

    click.echo(write_report(folder, out, margin, images))
