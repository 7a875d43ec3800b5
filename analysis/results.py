"""Opening a result folder: one dataset a table, each finished job once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from analysis import storage
from analysis.errors import ResultsError
from analysis.schemas import SCHEMA_VERSION, SCHEMAS

Run = dict[str, Any]
READS_AT_ONCE = 16


def open_table(folder: str | Path, table: str) -> ds.Dataset:
    """One of `runs`, `epochs`, `predictions` as a pyarrow dataset; only the files' schemas are read yet.

    `folder` is the run's out folder, or its address in a bucket. Raises ResultsError when there is nothing, when it
    cannot be reached, or when it has another schema version.
    """
    place = storage.find(folder)
    if not place.exists():
        raise ResultsError(f"there is no folder {folder}; give the --out folder of a run.")
    files = [place.inside("results", table, name) for name in place.whole(".parquet", "results", table)]
    if not files:
        raise ResultsError(f"{folder} holds no {table} yet; run `salun-grid run --out {folder}` first.")
    dataset = ds.dataset(files, schema=SCHEMAS[table], format="parquet", filesystem=place.files)
    # A fragment keeps the footer that it has read; in a bucket each is a request, so several go at once.
    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        for _ in pool.map(_check_version, dataset.get_fragments()):
            pass
    return dataset


def read_runs(folder: str | Path) -> list[Run]:
    """Every row of `runs`, as dictionaries by column name."""
    dataset = open_table(folder, "runs")
    try:
        return dataset.to_table().to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        why = storage.reason(error)
        raise ResultsError(f"a Parquet file of {folder} cannot be read ({why}); copy the folder again.") from None


def _check_version(fragment: ds.ParquetFileFragment) -> None:
    try:
        metadata = fragment.physical_schema.metadata or {}
    except (pa.ArrowInvalid, OSError) as error:
        why = storage.reason(error)
        raise ResultsError(f"{fragment.path} is not a readable Parquet file ({why}); copy the folder again.") from None
    version = metadata.get(b"schema_version", b"unknown").decode()
    if version != str(SCHEMA_VERSION):
        raise ResultsError(
            f"{fragment.path} has schema version {version}; this program reads version {SCHEMA_VERSION}."
        )
