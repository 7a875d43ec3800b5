"""A CSV file as a source: one row per image, with the columns that the user names; all others are left alone."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from salun_grid.images.entries import Entry, Listing, checked_name, in_order
from salun_grid.images.wording import counted
from salun_grid.records.errors import InputError, shown, unknown_choice
from salun_grid.records.npz import SPLITS

DELIMITERS = ",;\t"
SPLIT_WORDS = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a table; None where the table has none for it."""

    image: str = "image"
    label: str = "label"
    id: str | None = None
    split: str | None = None
    patient: str | None = None

    @property
    def asked(self) -> dict[str, str]:
        """The name of each column that is read, by what it holds."""
        found = {"image": self.image, "label": self.label, "id": self.id, "split": self.split, "patient": self.patient}
        return {what: name for what, name in found.items() if name is not None}


def read_table(path: Path, root: Path, columns: Columns) -> Listing:
    """The images of a table; their paths are relative to `root`, and the id is the path unless there is an id column.

    Rows that repeat another are merged. Raises InputError, naming the row, for a table or row that cannot be used.
    """
    found: dict[Path, Entry] = {}
    by_id: dict[str, Path] = {}
    repeated = 0
    for number, cells in rows(path, columns):
        where = f"{path}, row {number}"
        entry = entry_of(where, root, cells)
        earlier = found.setdefault(entry.path, entry)
        if earlier is not entry:
            check_equal(where, earlier, entry)
            repeated += 1
        elif by_id.setdefault(entry.id, entry.path) != entry.path:
            raise InputError(f"{where}: the id {shown(entry.id)} is that of another image too; ids must be unique.")
    if not found:
        raise InputError(f"{path} has no rows; it needs one row per image below the line of column names.")
    return Listing(in_order(found.values()), (f"{counted(repeated, 'repeated row')} merged",) if repeated else ())


def rows(path: Path, columns: Columns) -> Iterator[tuple[int, dict[str, str]]]:
    """The number of each row, counted from 1 with the column names, and its cells by what they hold."""
    text = read_text(path)
    header, _, _ = text.partition("\n")
    delimiter = max(DELIMITERS, key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        places = {what: place(path, what, name, names) for what, name in columns.asked.items()}
        for number, row in enumerate(reader, start=2):
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(names):
                cells = counted(len(row), "cell")
                raise InputError(f"{path}, row {number} has {cells}, but there are {len(names)} columns.")
            yield number, {what: row[at].strip() for what, at in places.items()}
    except csv.Error as error:
        raise InputError(f"{path} is not a CSV file ({error}, near line {reader.line_num}).") from None


def read_text(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text in UTF-8; save it as CSV with that encoding.") from None
    except OSError as error:
        raise InputError(f"cannot read the table {path}: {error.strerror}.") from None
    if not text.strip():
        raise InputError(f"{path} is empty; it needs a line of column names and one row per image.")
    return text


def place(path: Path, what: str, name: str, names: list[str]) -> int:
    """The position of a column. Raises InputError unless there is exactly one of the name."""
    if name not in names:
        raise unknown_choice(f"column for --{what}-column in {path}:", name, names)
    if names.count(name) > 1:
        raise InputError(f"{path} has {names.count(name)} columns {shown(name)}; --{what}-column needs a unique one.")
    return names.index(name)


def entry_of(where: str, root: Path, cells: dict[str, str]) -> Entry:
    for what, text in cells.items():
        if not text:
            raise InputError(f"{where}: the {what} is empty; fill it in or remove the row.")
        checked_name(where, what, text)
    split = cells.get("split", "").lower()
    split = SPLIT_WORDS.get(split, split)
    if "split" in cells and split not in SPLITS:
        raise InputError(f"{where}: the split {shown(cells['split'])} is none of {', '.join(SPLITS)}.")
    relative = Path(cells["image"].replace("\\", "/"))
    return Entry(root / relative, cells.get("id", relative.as_posix()), cells["label"], split, cells.get("patient", ""))


def check_equal(where: str, earlier: Entry, entry: Entry) -> None:
    """Raise InputError if two rows for one image disagree."""
    for what in ("label", "split", "patient", "id"):
        first, second = getattr(earlier, what), getattr(entry, what)
        if first != second:
            raise InputError(
                f"{where}: the image {shown(entry.path.name)} has the {what} {shown(second)}, but {shown(first)} in "
                "an earlier row; one image has one row."
            )
