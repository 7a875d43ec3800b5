"""`salun-grid data check`: what is in an `.npz` file, split by split, and its contact sheet."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from salun_grid.images.archive import SplitArrays, read_class_names, read_splits
from salun_grid.images.contact_sheet import COLUMNS, MAX_ROWS, examples, sheet
from salun_grid.images.pixels import digest_of
from salun_grid.images.problems import class_warnings, duplicate_warnings, patient_warnings, places_of
from salun_grid.images.report import Report
from salun_grid.images.wording import counted
from salun_grid.records.errors import InputError
from salun_grid.records.folder import write_whole
from salun_grid.records.npz import SPLITS

MAX_NAME_WIDTH = 40
COUNT_WIDTH = 11


@dataclass
class Contents:
    """What is kept of each image after its split has left the memory; the lists are in the order of the file."""

    shapes: set[tuple[int, ...]] = field(default_factory=set)
    splits: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    patients: list[str] = field(default_factory=list)
    examples: dict[tuple[str, int], list[np.ndarray]] = field(default_factory=dict)

    def add(self, split: str, arrays: SplitArrays) -> None:
        count = len(arrays.images)
        self.shapes.add(arrays.images.shape[1:])
        self.splits += [split] * count
        self.labels += arrays.labels.tolist()
        self.digests += [digest_of(image.tobytes()) for image in arrays.images]
        self.names += [f"{split} {i}" for i in range(count)] if arrays.ids is None else arrays.ids.tolist()
        self.patients += [""] * count if arrays.groups is None else arrays.groups.tolist()
        for label in range(min(MAX_ROWS, int(arrays.labels.max()) + 1)):
            self.examples[split, label] = examples(arrays.images, arrays.labels, label, COLUMNS[split])


def check_file(path: Path, sheet_path: Path) -> Report:
    """Describe the file and write its contact sheet, over an earlier one.

    Raises InputError, naming the array, for a file in another layout.
    """
    if sheet_path.suffix != ".png":
        raise InputError(f"--sheet must be a path that ends in .png, not {sheet_path}.")
    contents = Contents()
    for split, arrays in read_splits(path):
        contents.add(split, arrays)
    if len(contents.shapes) != 1:
        raise InputError(f"{path}: the images of train, val and test differ in shape; they must be the same.")
    names = read_class_names(path, max(contents.labels) + 1)
    classes = [names[label] for label in contents.labels]
    warnings = [
        *patient_warnings(contents.patients, contents.splits),
        *duplicate_warnings(contents.names, classes, contents.digests, contents.splits),
        *class_warnings(classes, contents.splits, names),
    ]
    lines = [*described(path, contents), *counts_table(contents, names), f"contact sheet  {sheet_path}"]
    write_whole(sheet_path, sheet(contents.examples, names))
    return Report(lines, warnings)


def described(path: Path, contents: Contents) -> list[str]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    ((side, _, channels),) = contents.shapes
    repeated = sum(len(places) - 1 for places in places_of(contents.digests).values())
    return [
        f"file           {path}",
        f"fingerprint    sha256:{digest}",
        f"size           {side} px, {'grey' if channels == 1 else 'colour'}",
        f"duplicates     {counted(repeated, 'image')} equal to an earlier one",
    ]


def counts_table(contents: Contents, names: list[str]) -> list[str]:
    """A line per class, one for all images and, where patients are known, one for them."""
    images = Counter(zip(contents.splits, contents.labels, strict=True))
    rows = [(name, [images[split, label] for split in SPLITS]) for label, name in enumerate(names)]
    rows.append(("all images", [contents.splits.count(split) for split in SPLITS]))
    known = {(split, own) for split, own in zip(contents.splits, contents.patients, strict=True) if own}
    if known:
        rows.append(("patients", [sum(own == split for own, _ in known) for split in SPLITS]))
    width = min(MAX_NAME_WIDTH, max(len(name) for name, _ in rows))
    head = " " * width + "".join(f"{split:>{COUNT_WIDTH}}" for split in SPLITS)
    return [
        head,
        *(f"{name[:width]:<{width}}" + "".join(f"{n:>{COUNT_WIDTH},}" for n in counts) for name, counts in rows),
    ]
