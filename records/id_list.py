"""Lists of images as CSV: one column `id`, `index` or `group`, one entry a row; other columns are ignored."""

import csv
from dataclasses import dataclass
from pathlib import Path

from salun_grid.records.errors import InputError, shown
from salun_grid.records.npz_names import MAX_CHARACTERS

COLUMNS = ("id", "index", "group")
MAX_BYTES = 2**26  # of a list; a million ids of 60 characters


@dataclass(frozen=True)
class IdList:
    """The distinct entries of a list, in its order, and the column that they are from: one of COLUMNS."""

    column: str
    entries: tuple[str, ...]


def read_id_list(path: Path) -> IdList:
    """Read a list. Raises InputError, in one sentence, for a file that is none, or has no entry."""
    rows = _rows(path)
    if not rows:
        raise InputError(f"{path} is empty; give a CSV file whose first line names the column id, index or group.")
    header = [name.strip().lower() for name in rows[0][1]]
    found = [name for name in COLUMNS if name in header]
    if len(found) != 1:
        has = f"has the columns {shown(', '.join(rows[0][1]))}" if not found else f"has both {' and '.join(found)}"
        raise InputError(f"{path} {has}; its first line must name exactly one of the columns id, index and group.")
    if header.count(found[0]) > 1:
        raise InputError(f"{path} has several columns {found[0]}; keep one.")
    place = header.index(found[0])
    entries: dict[str, None] = {}
    for line, row in rows[1:]:
        entry = row[place].strip() if place < len(row) else ""
        if not entry:
            raise InputError(f"{path}: line {line} has no {found[0]}; fill it in or remove the line.")
        if len(entry) > MAX_CHARACTERS:
            raise InputError(f"{path}: the {found[0]} in line {line} is longer than {MAX_CHARACTERS} characters.")
        entries[entry] = None
    if not entries:
        raise InputError(f"{path} names no {found[0]}; add a line for each image to forget.")
    return IdList(found[0], tuple(entries))


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Each row that is not blank, with the number of its last line."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise InputError(f"{path} is larger than {MAX_BYTES:,} bytes; give a list of ids.")
        reader = csv.reader(content.decode("utf-8-sig").splitlines(keepends=True), strict=True)
        return [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except OSError as error:
        raise InputError(f"cannot read the list of ids {path}: {error.strerror}.") from None
    except (UnicodeDecodeError, csv.Error, ValueError):
        raise InputError(f"{path} is not a CSV file in UTF-8; save the list of ids as one.") from None
