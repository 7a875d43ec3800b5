"""Reading a results folder: the files of each table, every finished job once."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from salun_grid.analysis.rows import Run, sound
from salun_grid.records import storage
from salun_grid.records.errors import InputError
from salun_grid.records.schemas import SCHEMA_VERSION, SCHEMAS

Made = TypeVar("Made")

# Readable schema versions, with the columns that each lacks; these read as null.
SINCE_2 = frozenset({"precision", "precision_reason", "seconds_compile"})
SINCE_3 = frozenset({"role", "forget", "forget_rule"})
SINCE_4 = frozenset({"memory_train", "memory_eval", "device_memory_train", "device_memory_eval", "note"})
SINCE_5 = frozenset({"id", "group"})
READABLE: dict[str, frozenset[str]] = {
    "1": SINCE_2 | SINCE_3 | SINCE_4 | SINCE_5,
    "2": SINCE_3 | SINCE_4 | SINCE_5,
    "3": SINCE_4 | SINCE_5,
    "4": SINCE_5,
    str(SCHEMA_VERSION): frozenset(),
}

# Read only where they are named: no metric needs them, and they are the widest columns after the logits.
ON_REQUEST = {"predictions": SINCE_5}

REQUESTS_AT_ONCE = 16  # to a bucket, where each request has a high latency
FILES_AT_ONCE = 250  # combined into one table, because each small table takes 70 KiB


@dataclass(frozen=True)
class Files:
    """The complete files of one table, by their paths in `place`."""

    place: storage.Place
    table: str
    paths: list[str]


def find_files(folder: str | Path, table: str) -> Files:
    """The files of `runs`, `epochs` or `predictions`; none is opened yet.

    `folder` is the run's out folder, or its address in a bucket. Raises InputError if it has no such files or
    cannot be reached.
    """
    place = storage.find(folder)
    if not place.exists():
        raise InputError(f"there is no folder {folder}; give the --out folder of a run.")
    files = _files(place, table)
    if not files.paths:
        raise InputError(
            f"{folder} holds no {table} yet: no Parquet file is in results/{table}; give the whole --out folder of a "
            "`salun-grid run`."
        )
    return files


def has_rows(folder: str | Path, table: str) -> bool:
    """Whether the folder has any file of a table."""
    return bool(_files(storage.find(folder), table).paths)


def _files(place: storage.Place, table: str) -> Files:
    return Files(place, table, [place.inside("results", table, n) for n in place.whole(".parquet", "results", table)])


def read_runs(folder: str | Path) -> list[Run]:
    """The valid rows of `runs` as dictionaries; a ResultsWarning names each invalid one."""
    files = find_files(folder, "runs")
    return sound(_read_files(files, None).to_pylist(), absent=frozenset().union(*READABLE.values()) - SINCE_3)


def read_table(folder: str | Path, table: str, columns: Sequence[str] | None = None) -> pa.Table:
    """A whole table, or some columns of it. Raises InputError as `find_files` and `read_file` do."""
    return _read_files(find_files(folder, table), columns)


def _read_files(files: Files, columns: Sequence[str] | None) -> pa.Table:
    groups = [files.paths[i : i + FILES_AT_ONCE] for i in range(0, len(files.paths), FILES_AT_ONCE)]

    def read(group: list[str]) -> pa.Table:
        return pa.concat_tables([read_file(files, path, columns) for path in group]).combine_chunks()

    return pa.concat_tables(_at_once(files.place, read, groups))


def read_file(files: Files, path: str, columns: Sequence[str] | None = None) -> pa.Table:
    """One file, or some columns of it, by default all but those of ON_REQUEST.

    Raises InputError when it is damaged or of a version that is not read.
    """
    schema = SCHEMAS[files.table]
    # An older version may lack any column.
    wanted = pa.schema([schema.field(name).with_nullable(True) for name in columns or _usual(files.table)])
    with readable(path):
        # Read at once, because in a bucket each part would be a request.
        with files.place.files.open_input_file(path) as opened:
            content = opened.read_buffer()
        with pq.ParquetFile(pa.BufferReader(content), pre_buffer=False) as file:
            absent = _absent(files.table, path, file.schema_arrow)
            table = file.read([name for name in wanted.names if name not in absent], use_threads=False)
        found = [pa.nulls(len(table), f.type) if f.name in absent else table[f.name] for f in wanted]
        return pa.Table.from_arrays(found, schema=wanted)


def check_files(files: Files) -> None:
    """Read every footer. Raises InputError for a file that `read_file` would refuse by its footer."""

    def check(path: str) -> None:
        with readable(path), files.place.files.open_input_file(path) as opened:
            _absent(files.table, path, pq.read_schema(opened))

    _at_once(files.place, check, files.paths)


def open_table(folder: str | Path, table: str) -> ds.Dataset:
    """A table, without the columns of ON_REQUEST, as a pyarrow dataset, which reads what is asked of it.

    Only the footers are read yet. Raises InputError as `find_files` and `check_files` do.
    """
    files = find_files(folder, table)
    check_files(files)
    schema = pa.schema([SCHEMAS[table].field(name) for name in _usual(table)], SCHEMAS[table].metadata)
    return ds.dataset(files.paths, schema=schema, format="parquet", filesystem=files.place.files)


def _usual(table: str) -> list[str]:
    """The columns that are read unless others are named."""
    return [name for name in SCHEMAS[table].names if name not in ON_REQUEST.get(table, ())]


@contextmanager
def readable(path: str) -> Iterator[None]:
    """Raise errors of Parquet as an InputError that says that `path` is damaged."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last for the name of a column
        why = storage.reason(error)
        raise InputError(f"{path} is damaged or no Parquet file ({why}); copy the folder again.") from None


def _absent(table: str, path: str, found: pa.Schema) -> frozenset[str]:
    """The columns that a file's version does not have.

    Raises InputError for a version that is not read, and for a file without a column that its version has.
    """
    version = (found.metadata or {}).get(b"schema_version", b"").decode(errors="replace")
    if not version:
        raise InputError(
            f"{path} has lost its schema metadata, as where pandas, polars or DuckDB wrote it anew; copy the original."
        )
    if version not in READABLE:
        known = " and ".join(READABLE)
        raise InputError(f"{path} has schema version {version}; this program reads version {known}.")
    lost = set(SCHEMAS[table].names) - READABLE[version] - set(found.names)
    if lost:
        raise InputError(f"{path} has no column {min(lost)}, which schema version {version} has; copy it again.")
    return READABLE[version]


def _at_once(place: storage.Place, function: Callable[[Any], Made], arguments: Sequence[Any]) -> list[Made]:
    """`function` of each argument, in order, several at a time."""
    workers = REQUESTS_AT_ONCE if storage.is_remote(place.address) else os.cpu_count()
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(function, arguments))
