"""`salun-grid data import`: a source to an `.npz` file, and what the user should know about it."""

import shlex
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from salun_grid.images.archive import write_archive
from salun_grid.images.decoding import Decoded, decode
from salun_grid.images.entries import Listing, class_names
from salun_grid.images.pictures import WHOLE_RANGE
from salun_grid.images.problems import class_warnings, duplicate_warnings, patient_warnings
from salun_grid.images.reading import Reading
from salun_grid.images.report import Report
from salun_grid.images.splitting import Fractions, given_split, split_of
from salun_grid.images.wording import counted, some
from salun_grid.records.errors import InputError, naming
from salun_grid.records.npz import SPLITS
from salun_grid.records.storage import is_remote

DARK = 8  # a note where 16-bit grey uses less than 1 / DARK of its range


def import_images(
    source: str,
    listing: Listing,
    target: Path,
    reading: Reading,
    fractions: Fractions,
    skip_broken: bool = False,
    workers: int = 1,
) -> Report:
    """Read the images of a listing and write them to the new file `target`.

    Raises InputError for a source that cannot be imported, and OSError, which names `target`, where it cannot be
    written; there is no file then.
    """
    check_target(target)
    # Once before reading, so that what is wrong with the classes or the split is said at once.
    class_names(source, listing.entries)
    splits_of(source, listing, fractions)
    with scratch(target) as rows, progress(len(listing.entries)) as advance:
        decoded = decode(listing.entries, rows, reading, skip_broken, workers, advance)
        kept = listing.without(frozenset(decoded.broken))
        classes, splits = class_names(source, kept.entries), splits_of(source, kept, fractions)
        write_archive(target, decoded, splits, classes)
    return Report(
        [*summary(source, kept, decoded, splits, classes), f"file           {target}", next_command(target)],
        list(warnings_of(kept, decoded, splits, classes)),
    )


def check_target(target: Path) -> None:
    if is_remote(str(target)):
        raise InputError(f"--out {target} is not a local file; give one.")
    if target.suffix != ".npz":
        raise InputError(f"--out must be a path that ends in .npz, not {target}.")
    if target.exists() or target.is_symlink():
        raise InputError(f"{target} already exists and is not overwritten; give a new file with --out.")


def splits_of(source: str, listing: Listing, fractions: Fractions) -> list[str]:
    return given_split(source, listing.entries) if listing.is_split else split_of(listing.entries, fractions)


@contextmanager
def scratch(target: Path) -> Iterator[IO[bytes]]:
    """A temporary file without a name on the disk of `target`; it is gone however the program ends."""
    folder = next(folder for folder in target.absolute().parents if folder.is_dir())
    with naming(target), tempfile.TemporaryFile(dir=folder) as file:
        yield file


@contextmanager
def progress(total: int) -> Iterator[Callable[[int], object]]:
    """A bar on standard error, if that is a terminal; yields the function that moves it."""
    console = Console(stderr=True)
    columns = (TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total)
        yield lambda count: bar.advance(task, count)


# --- the output -------------------------------------------------------------------------------------------


def summary(
    source: str, kept: Listing, decoded: Decoded, splits: Sequence[str], classes: Sequence[str]
) -> Iterator[str]:
    reading = decoded.reading
    yield f"images         {len(kept.entries):,} from {source}"
    yield f"classes        {len(classes)}: {some(classes, 12)}"
    how = "as given" if kept.is_split else "by patient" if kept.has_patients else "image by image"
    yield f"split          {' / '.join(f'{splits.count(split):,}' for split in SPLITS)} train / val / test, {how}"
    if kept.has_patients:
        patients = {(split, entry.patient) for split, entry in zip(splits, kept.entries, strict=True)}
        counts = " / ".join(f"{sum(own == split for own, _ in patients):,}" for split in SPLITS)
        yield f"patients       {counts}"
    yield f"size           {reading.size} px, {'grey' if reading.grey else 'colour'}"
    if decoded.broken:
        paths = some([f"{name} ({reason})" for name, reason in decoded.broken.items()])
        yield f"skipped        {counted(len(decoded.broken), 'broken file')}: {paths}"
    for note in (*kept.notes, *notes(kept, decoded)):
        yield f"note           {note}"


def notes(kept: Listing, decoded: Decoded) -> Iterator[str]:
    if not kept.is_split and not kept.has_patients:
        yield "no patients are given, so images of one patient may be in several splits (--patient-column)"
    if not decoded.reading.grey and not decoded.num_coloured:
        yield "no image has colour; --grey makes a file of a third of the size"
    if decoded.num_deep and decoded.peak < WHOLE_RANGE[1] / DARK:
        yield (
            f"the highest value in {counted(decoded.num_deep, 'image')} of 16-bit grey is {decoded.peak:,.0f} of "
            f"{WHOLE_RANGE[1]:,}, so they are dark; --grey-range 0 {decoded.peak:.0f} uses all of the range"
        )


def warnings_of(kept: Listing, decoded: Decoded, splits: Sequence[str], classes: Sequence[str]) -> Iterator[str]:
    labels = [entry.label for entry in kept.entries]
    yield from patient_warnings([entry.patient for entry in kept.entries], splits)
    yield from duplicate_warnings([entry.id for entry in kept.entries], labels, decoded.digests, splits)
    yield from class_warnings(labels, splits, classes)


def next_command(target: Path) -> str:
    return f"next           salun-grid data check {shlex.quote(str(target))}"
