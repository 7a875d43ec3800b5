"""Opening a result folder: one dataset a table, each finished job once."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from analysis.errors import ResultsError
from analysis.schemas import SCHEMA_VERSION, SCHEMAS

Run = dict[str, Any]


def open_table(folder: str | Path, table: str) -> ds.Dataset:
    """One of `runs`, `epochs`, `predictions` as a pyarrow dataset; nothing is read yet.

    `folder` is the run's out folder. Raises ResultsError when there is nothing, or another schema version.
    """
    if not Path(folder).is_dir():
        raise ResultsError(f"there is no folder {folder}; give the --out folder of a run.")
    files = sorted(Path(folder, "results", table).glob("[!.]*.parquet"))
    if not files:
        raise ResultsError(f"{folder} holds no {table} yet; run `salun-grid run --out {folder}` first.")
    for file in files:
        _check_version(file)
    return ds.dataset(files, schema=SCHEMAS[table], format="parquet")


def read_runs(folder: str | Path) -> list[Run]:
    """Every row of `runs`, as dictionaries by column name."""
    dataset = open_table(folder, "runs")
    try:
        return dataset.to_table().to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        reason = " ".join(str(error).split())
        raise ResultsError(f"a Parquet file of {folder} is damaged ({reason}); copy the folder again.") from None


def _check_version(file: Path) -> None:
    try:
        metadata = pq.read_schema(file).metadata or {}
    except (pa.ArrowInvalid, OSError) as error:
        raise ResultsError(f"{file} is not a readable Parquet file ({error}); copy the folder again.") from None
    version = metadata.get(b"schema_version", b"unknown").decode()
    if version != str(SCHEMA_VERSION):
        raise ResultsError(f"{file} has schema version {version}; this program reads version {SCHEMA_VERSION}.")
