"""The implementation of `salun-grid data`: from the options to a source, a reading and a split."""

from pathlib import Path
from typing import Any

from salun_grid.images.checking import check_file
from salun_grid.images.decoding import default_workers
from salun_grid.images.folder import read_folder
from salun_grid.images.importing import check_target, import_images
from salun_grid.images.reading import Reading
from salun_grid.images.report import Report
from salun_grid.images.splitting import Fractions
from salun_grid.images.table import Columns, read_table
from salun_grid.records.errors import InputError, shown


def run_import(folder: str | None, out: str, labels: str | None, options: dict[str, Any]) -> Report:
    """Import the source that the command line's options describe. Raises InputError for options that conflict."""
    reading, fractions, target = reading_of(options), fractions_of(options), path_of("--out", out)
    check_target(target)
    columns = given(options, {what: f"{what}_column" for what in ("image", "label", "id", "split", "patient")})
    if labels is not None:
        table = path_of("--labels", labels)
        root = table.parent if folder is None else path_of("FOLDER", folder)
        source, listing = labels, read_table(table, root, Columns(**columns))
    elif columns:
        raise InputError(f"--{next(iter(columns))}-column names a column of a table; give the table with --labels.")
    elif folder is None:
        raise InputError("give a FOLDER with one sub-folder of images per class, or a table with --labels.")
    else:
        source, listing = folder, read_folder(path_of("FOLDER", folder))
    workers = options["workers"] or default_workers()
    return import_images(source, listing, target, reading, fractions, options["skip_broken"], workers)


def run_check(file: str, sheet: str | None) -> Report:
    """Check a file; its contact sheet is next to it by default."""
    path = path_of("FILE", file)
    return check_file(path, path.parent / f"{path.stem}_sheet.png" if sheet is None else path_of("--sheet", sheet))


def path_of(option: str, text: str) -> Path:
    """The path that an option gives, whether or not it exists. Raises InputError for a text that can be no path."""
    try:
        Path(text or "\0").lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except ValueError:
        raise InputError(f"{option} must be a path, not {shown(text)}.") from None
    except OSError as error:
        raise InputError(f"{option} {shown(text)} cannot be used: {error.strerror}.") from None
    return Path(text)


def given(options: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """The options that the user gave, by the names of the fields that they set."""
    return {field: options[name] for field, name in names.items() if options[name] is not None}


def reading_of(options: dict[str, Any]) -> Reading:
    ends = options["grey_range"]
    if ends is not None and not -1e9 <= ends[0] < ends[1] <= 1e9:
        raise InputError(f"--grey-range must be two numbers in rising order, not {ends[0]:g} {ends[1]:g}.")
    return Reading(options["size"], options["grey"], options["fit"], ends)


def fractions_of(options: dict[str, Any]) -> Fractions:
    found = given(options, {name: name for name in ("val", "test", "seed")})
    if found and options["split_column"] is not None:
        raise InputError(f"--{next(iter(found))} has no meaning with --split-column, which gives the split.")
    return Fractions(**found)
