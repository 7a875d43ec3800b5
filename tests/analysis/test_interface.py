"""The Parquet as a public interface: docs/results.md names every field and its examples run, as do examples/."""

import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from salun_grid.analysis.metrics import unlearning_accuracy
from salun_grid.records.schemas import SCHEMAS
from tests.support.folders import Run, make_grid, make_predictions, write_folder

ROOT = Path(__file__).parents[2]
DOC = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^(\w[^\n]*):\n\n```python\n(.*?)```", DOC, re.MULTILINE | re.DOTALL)
READERS = ["pyarrow", "pandas", "polars", "DuckDB"]


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    return make_grid(rates=(0.1, 0.5))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, runs: list[Run]) -> Path:
    folder = write_folder(tmp_path_factory.mktemp("out"), runs)
    (folder / "results" / "runs" / ".half.parquet.1f.partial").write_bytes(b"PAR1")
    (folder / "results" / "runs" / ".half.parquet").write_bytes(b"PAR1")
    return folder


@pytest.mark.parametrize("table", SCHEMAS)
def test_every_field_is_documented_with_its_unit(table: str) -> None:
    section = DOC.split(f"\n## {table}\n")[1].split("\n## ")[0]
    rows = [re.split(r"(?<!\\)\|", line) for line in section.splitlines() if line.startswith("| `")]
    documented = [(row[1].strip(" `"), row[3].strip(), row[4].strip().replace("\\|", "|")) for row in rows]
    fields = [(f.name, f.metadata[b"unit"].decode(), f.metadata[b"meaning"].decode()) for f in SCHEMAS[table]]
    assert documented == fields


def ran(title: str, folder: Path) -> dict[str, Any]:
    """The names that the documented example leaves."""
    (code,) = [code for name, code in EXAMPLES if name.startswith(title)]
    names: dict[str, Any] = {"OUT": str(folder)}
    exec(code, names)
    return names


def test_the_documentation_has_an_example_for_each_reader() -> None:
    assert [title for title, _ in EXAMPLES][:4] == READERS


ODD_NAMES = [
    "seed=7",
    "ua=3/method=x",
    "a b",
    "it's",
    'say "hi"',
    "runs[1]",
    "50%",
    "star*",
    "what?",
    "übung#1",
    "{a,b}",
]


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("reader", READERS)
def test_documented_examples_open_a_folder_of_any_name(
    folder: Path, runs: list[Run], reader: str, name: str, tmp_path: Path
) -> None:
    odd = tmp_path / name
    odd.parent.mkdir(exist_ok=True)
    odd.symlink_to(folder)
    test_documented_examples_open_a_folder_as_one_table(odd, runs, reader)
    found = {row["job_key"] for row in ran("UA", odd)["ua"].to_pylist()}
    assert found == {run["job_key"] for run in runs}


@pytest.mark.parametrize("reader", READERS)
def test_documented_examples_open_a_folder_as_one_table(folder: Path, runs: list[Run], reader: str) -> None:
    table = ran(reader, folder)["runs"]
    if isinstance(table, pd.DataFrame):
        table = pa.Table.from_pandas(table)
    elif isinstance(table, pl.DataFrame):
        table = table.to_arrow()
    assert table.column_names == SCHEMAS["runs"].names
    found = dict(zip(table["job_key"].to_pylist(), table["ua"].to_pylist(), strict=True))
    assert found == {run["job_key"]: run["ua"] for run in runs}
    finished = table["finished_at"].to_pylist()[0]
    assert finished.utcoffset().total_seconds() == 0


def test_the_documented_query_gives_ua(folder: Path, runs: list[Run]) -> None:
    found = {row["job_key"]: row["ua"] for row in ran("UA", folder)["ua"].to_pylist()}
    expected = {run["job_key"]: unlearning_accuracy(make_predictions(i)) for i, run in enumerate(runs)}
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("reader", ["pandas", "polars", "duckdb"])
def test_predictions_open_too_with_their_logits(folder: Path, reader: str) -> None:
    place = f"{folder}/results/predictions"
    if reader == "pandas":
        rows = pd.read_parquet(place)[["split", "logits"]].to_dict("records")
    elif reader == "polars":
        rows = pl.read_parquet(f"{place}/*.parquet", columns=["split", "logits"]).to_dicts()
    else:
        import duckdb

        rows = duckdb.sql(f"SELECT split, logits FROM '{place}/*.parquet'").arrow().read_all().to_pylist()
    assert len(rows) == 18 * 22
    assert {row["split"] for row in rows} == {"train", "val", "test"}
    assert all(len(row["logits"]) == 4 for row in rows)


def test_the_example_of_an_own_metric_runs_and_stays_short(
    folder: Path, runs: list[Run], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    example = ROOT / "examples" / "own_metric.py"
    code = example.read_text(encoding="utf-8").split('"""')[2]
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    (folder / "results" / "runs" / ".half.parquet").unlink(missing_ok=True)
    monkeypatch.setattr(sys, "argv", [str(example), str(folder)])
    runpy.run_path(str(example), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(runs)
    assert all(line.endswith("n = 3 images") and 0 <= float(line.split()[5]) <= 1 for line in lines)
