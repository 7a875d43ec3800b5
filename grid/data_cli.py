"""The commands `salun-grid data`: a user's own images. Imports only click."""

from typing import TYPE_CHECKING, Any

import click

from salun_grid.records.text import printable

if TYPE_CHECKING:
    from salun_grid.images.report import Report


@click.group()
def data() -> None:
    """Import your own images, and check a dataset file."""


@data.command("import")
@click.argument("folder", required=False)
@click.option("--out", required=True, help="New .npz file, for --dataset.")
@click.option(
    "--labels", metavar="CSV", help="Table with one row per image, with paths relative to FOLDER or to the table."
)
@click.option("--image-column", metavar="NAME", help="Column with the path of the image  [default: image]")
@click.option("--label-column", metavar="NAME", help="Column with the class  [default: label]")
@click.option("--id-column", metavar="NAME", help="Column with a unique id of the image  [default: its path]")
@click.option("--split-column", metavar="NAME", help="Column with train, val or test  [default: split by patient]")
@click.option("--patient-column", metavar="NAME", help="Column with the patient; no patient is in two splits.")
@click.option(
    "--size", type=click.IntRange(8, 512), default=64, show_default=True, help="Side of the square images in pixels."
)
@click.option("--grey", is_flag=True, help="Store one channel instead of three.")
@click.option(
    "--fit",
    type=click.Choice(["pad", "crop", "stretch"]),
    default="pad",
    show_default=True,
    help="Make an image square with black margins, by its centre, or by distortion.",
)
@click.option(
    "--grey-range",
    type=float,
    nargs=2,
    metavar="LOW HIGH",
    help="Values of 16-bit, 32-bit or DICOM grey that become black and white  [default: 0 65535; DICOM: its window]",
)
@click.option("--val", type=float, help="Fraction of the images for validation  [default: 0.1]")
@click.option("--test", type=float, help="Fraction of the images for testing  [default: 0.2]")
@click.option("--seed", type=int, help="Random seed of the split  [default: 0]")
@click.option("--skip-broken", is_flag=True, help="Leave out and count files that cannot be read.")
@click.option("--workers", type=click.IntRange(1, 64), help="Reading threads  [default: one per CPU, at most 8]")
def import_(folder: str | None, out: str, labels: str | None, **options: Any) -> None:
    """Make an .npz file of the images in FOLDER, which has one sub-folder per class, or of a table with --labels.

    JPEG, PNG, TIFF, BMP, and DICOM with the extra `dicom`. Without --split-column, images are split by patient,
    stratified by class. See docs/own_images.md.
    """
    from salun_grid.grid.data_commands import run_import

    show(run_import(folder, out, labels, options))


@data.command()
@click.argument("file")
@click.option("--sheet", metavar="PNG", help="Path of the contact sheet  [default: FILE_sheet.png next to FILE]")
def check(file: str, sheet: str | None) -> None:
    """Show images by split and class, patients, size and duplicates of an .npz file, and draw a contact sheet."""
    from salun_grid.grid.data_commands import run_check

    show(run_check(file, sheet))


def show(report: "Report") -> None:
    """Print the lines to standard output and the warnings to standard error."""
    for line in report.lines:
        click.echo(printable(line))
    for warning in report.warnings:
        click.echo(printable(f"Warning: {warning}"), err=True)
