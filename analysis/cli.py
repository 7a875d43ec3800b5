"""`salun-analysis`: tables, figure and report from the Parquet in a run's out folder.

Imports only click, so that `--help` answers at once.
"""

from pathlib import Path

import click

from analysis.errors import ResultsError

FOLDER = click.argument("folder", metavar="DIR")
FORMATS = ("terminal", "markdown", "csv", "latex")


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
@click.version_option(package_name="salun-grid")
def main() -> None:
    """Evidence from the Parquet that a run left in DIR. Needs neither a GPU, nor Ray, nor torch."""


@main.command("tables")
@FOLDER
@click.option("--format", "form", type=click.Choice(FORMATS), default="terminal", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Write to this file instead of the terminal.")
def tables_command(folder: str, form: str, out: Path | None) -> None:
    """Tables 1 and 2: UA RA TA MIA AG RTE, a table for each forget rate, the gap beside each value."""
    from analysis.commands import tables_text

    text = tables_text(folder, form)
    if out:
        out.write_text(text, encoding="utf-8")
        click.echo(out)
    else:
        click.echo(text, nl=False)


@main.command("figure")
@FOLDER
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the pictures  [default: DIR/figures; ./figures for a bucket]",
)
def figure_command(folder: str, out: Path | None) -> None:
    """Figure 2: AG by augmentation, dataset and forget rate, as PNG and SVG."""
    from analysis.commands import draw_figure

    for path in draw_figure(folder, out):
        click.echo(path)


@main.command("report")
@FOLDER
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The page's file  [default: DIR/report.html; ./report.html for a bucket]",
)
def report_command(folder: str, out: Path | None) -> None:
    """One HTML page with the tables, the figure and the command behind each row."""
    from analysis.commands import write_report

    click.echo(write_report(folder, out))
