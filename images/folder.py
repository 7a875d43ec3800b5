"""A folder as a source: each sub-folder is a class, and every image at any depth below it belongs to the class."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from salun_grid.images.entries import SUFFIXES, Entry, Listing, checked_name, in_order
from salun_grid.images.reading import has_preamble
from salun_grid.images.wording import counted, some
from salun_grid.records.errors import InputError, naming
from salun_grid.records.npz import SPLITS

SPLIT_NAMES = frozenset({*SPLITS, "training", "valid", "validation", "testing"})


def read_folder(root: Path) -> Listing:
    """The images below `root`; the id of an image is its path relative to `root`, with forward slashes.

    Files with other endings and hidden files are left out; files without an ending are included if they are DICOM.
    Raises InputError for a folder without class folders or images, or with images outside of class folders.
    """
    if not root.is_dir():
        raise InputError(f"no folder at {root}; give the folder that has one sub-folder per class.")
    entries, others = [], Counter[str]()
    for path in files_below(root):
        if not is_image(path):
            others[path.suffix.lower() or "no ending"] += 1
            continue
        relative = path.relative_to(root)
        name = checked_name(str(root), "path", relative.as_posix())
        entries.append(Entry(path, name, relative.parts[0] if len(relative.parts) > 1 else ""))
    check(root, entries)
    endings = some(
        [f"{count:,} {ending}" for ending, count in sorted(others.items(), key=lambda item: (-item[1], item[0]))]
    )
    left_out = f"{counted(sum(others.values()), 'other file')} left out ({endings})"
    notes = (left_out,) if others else ()
    return Listing(in_order(entries), notes)


def files_below(root: Path) -> Iterator[Path]:
    """The files that are not hidden, in no fixed order. Links to folders are followed only at the top."""

    def fail(error: OSError) -> None:
        raise InputError(f"cannot read the folder {error.filename}: {error.strerror}.") from None

    links = (path for path in root.iterdir() if path.is_symlink() and path.is_dir() and path.name[0] != ".")
    for top in (root, *links):
        for folder, folders, files in os.walk(top, onerror=fail):
            folders[:] = [name for name in folders if not name.startswith(".")]
            yield from (Path(folder, name) for name in files if not name.startswith("."))


def is_image(path: Path) -> bool:
    """Whether the ending is one of SUFFIXES, or there is none and the file is DICOM."""
    if path.suffix:
        return path.suffix.lower() in SUFFIXES
    with naming(path), path.open("rb") as file:
        return has_preamble(file)


def check(root: Path, entries: list[Entry]) -> None:
    if not entries:
        raise InputError(f"{root} has no images; give a folder with one sub-folder of images per class.")
    outside = [entry.id for entry in entries if not entry.label]
    if len(outside) == len(entries):
        raise InputError(
            f"{root} has {counted(len(entries), 'image')} but no class folders; put the images of each class into a "
            "sub-folder, or give their classes with --labels."
        )
    if outside:
        raise InputError(
            f"{root} has {counted(len(outside), 'image')} in no class folder, such as {outside[0]}; move each into one."
        )
    labels = {entry.label.lower() for entry in entries}
    if labels <= SPLIT_NAMES:
        raise InputError(
            f"the sub-folders of {root} are splits ({', '.join(sorted(labels))}), not classes; list the images in a "
            "CSV file with a split column, and give it with --labels and --split-column."
        )
