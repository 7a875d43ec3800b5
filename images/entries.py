"""What a source lists: the images to import, each with its class and, where known, its patient and its split."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from salun_grid.records.errors import InputError, shown
from salun_grid.records.npz import MAX_CLASS
from salun_grid.records.text import natural_order

MAX_NAME = 1000  # characters of an id, a patient or a class
SUFFIXES = frozenset({".bmp", ".dcm", ".dicom", ".jpeg", ".jpg", ".png", ".tif", ".tiff"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of a source. `split` and `patient` are "" where the source does not give them."""

    path: Path
    id: str
    label: str
    split: str = ""
    patient: str = ""


@dataclass(frozen=True)
class Listing:
    """The entries of a source, in a fixed order with unique ids, and `notes` on what was left out of it."""

    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()

    @property
    def has_patients(self) -> bool:
        return any(entry.patient for entry in self.entries)

    @property
    def is_split(self) -> bool:
        return any(entry.split for entry in self.entries)

    def without(self, dropped: frozenset[str]) -> "Listing":
        """The listing without the entries whose ids are in `dropped`."""
        return replace(self, entries=tuple(entry for entry in self.entries if entry.id not in dropped))


def name_order(name: str) -> tuple:
    """A sort key: numbers within names by value, and names that differ only in zeros, as `1` and `01`, by text."""
    return natural_order(name), name


def in_order(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple(sorted(entries, key=lambda entry: name_order(entry.id)))


def class_names(source: str, entries: Sequence[Entry]) -> list[str]:
    """The classes in natural order, so that `2` precedes `10`; the position in the list is the label.

    Raises InputError, naming the source, for fewer than two classes or too many.
    """
    names = sorted({entry.label for entry in entries}, key=name_order)
    if len(names) < 2:
        raise InputError(f"{source} has only the class {shown(names[0])}; a classifier needs at least two.")
    if len(names) > MAX_CLASS + 1:
        raise InputError(f"{source} has {len(names):,} classes; at most {MAX_CLASS + 1:,} are supported.")
    return names


def checked_name(where: str, what: str, text: str) -> str:
    """`text`, at most MAX_NAME characters. Raises InputError, naming the place, for a longer one."""
    if len(text) > MAX_NAME:
        raise InputError(f"{where}: the {what} {shown(text)} has more than {MAX_NAME:,} characters; shorten it.")
    return text
