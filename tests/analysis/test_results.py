"""Opening a result folder: what is read, and what is said when it cannot be."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from salun_grid.analysis import results
from salun_grid.analysis.evidence import Reader
from salun_grid.analysis.metrics import Attack, Predictions, evaluate
from salun_grid.analysis.results import find_files, open_table, read_file, read_runs, read_table
from salun_grid.records.errors import InputError
from salun_grid.records.schemas import SCHEMAS
from tests.support.folders import SPLITS, Run, damage_data, make_grid, make_predictions, write_folder


@pytest.fixture
def runs() -> list[Run]:
    return make_grid(rates=(0.1, 0.5))


@pytest.fixture
def folder(tmp_path: Path, runs: list[Run]) -> Path:
    return write_folder(tmp_path / "out", runs)


def files_of(folder: Path, table: str = "runs") -> list[Path]:
    return sorted((folder / "results" / table).glob("*.parquet"))


def test_rows_come_back_as_they_were_written_one_for_each_job(folder: Path, runs: list[Run]) -> None:
    found = read_runs(str(folder))
    assert Counter(run["job_key"] for run in found) == Counter(run["job_key"] for run in runs)
    by_key = {run["job_key"]: run for run in found}
    assert [by_key[run["job_key"]] for run in runs] == runs


def test_a_reader_of_the_folder_as_one_dataset_sees_each_row_once(folder: Path, runs: list[Run]) -> None:
    (folder / "results" / "runs" / ".tmp-half-written.parquet").write_bytes(b"PAR1 and then nothing")
    table = ds.dataset(folder / "results" / "runs", format="parquet").to_table()
    assert table.num_rows == len(runs)
    assert Counter(table["job_key"].to_pylist()) == Counter(run["job_key"] for run in runs)
    assert table.schema.names == SCHEMAS["runs"].names


@pytest.mark.parametrize("name", [".tmp123.parquet", ".aa.parquet.1f2e.partial", "notes.txt"])
@pytest.mark.parametrize("table", ["runs", "predictions"])
def test_half_written_and_other_files_are_ignored(folder: Path, table: str, name: str) -> None:
    before = open_table(folder, table).count_rows()
    whole = files_of(folder, table)[0].read_bytes()
    for content in (b"", b"not Parquet", whole):
        (folder / "results" / table / name).write_bytes(content)
        assert open_table(folder, table).count_rows() == before


def test_a_folder_with_nothing_but_half_written_files_is_empty(tmp_path: Path) -> None:
    (tmp_path / "results" / "runs").mkdir(parents=True)
    (tmp_path / "results" / "runs" / ".tmp1.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="holds no runs yet"):
        read_runs(tmp_path)


def test_predictions_give_every_metric_again(folder: Path, runs: list[Run]) -> None:
    of_first_job = ds.field("job_key") == runs[0]["job_key"]
    rows = open_table(folder, "predictions").to_table(filter=of_first_job).to_pylist()
    of_split = {split: [row for row in rows if row["split"] == split] for split in SPLITS}
    again = Predictions(
        logits={split: np.array([row["logits"] for row in of_split[split]], np.float32) for split in SPLITS},
        labels={split: np.array([row["label"] for row in of_split[split]]) for split in SPLITS},
        forgotten=np.array([row["forgotten"] for row in of_split["train"]]),
    )
    assert len(rows) == 22
    assert [row["index"] for row in of_split["test"]] == list(range(6))
    assert evaluate(again, Attack()) == evaluate(make_predictions(seed=0), Attack())


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        read_runs(tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in str(raised.value)
    assert "no folder" in str(raised.value)


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(InputError, match="no folder"):
        read_runs(tmp_path / "file")


@pytest.mark.parametrize("parts", [(), ("results",), ("results", "runs")], ids="/".join)
def test_an_empty_folder_says_what_is_missing_and_what_to_run(tmp_path: Path, parts: tuple[str, ...]) -> None:
    tmp_path.joinpath(*parts).mkdir(parents=True, exist_ok=True)
    with pytest.raises(InputError, match="holds no runs yet") as raised:
        read_runs(tmp_path)
    assert "salun-grid run" in str(raised.value)


def test_a_table_that_has_not_landed_is_named(folder: Path) -> None:
    with pytest.raises(InputError, match="holds no epochs yet"):
        open_table(folder, "epochs")


def nothing(content: bytes) -> bytes:
    return b""


def text(content: bytes) -> bytes:
    return b"job_key,ua\n1,2\n"


def first_half(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize("position", [0, -1], ids=["first file", "last file"])
@pytest.mark.parametrize("damage", [nothing, text, first_half])
def test_a_corrupt_file_is_named(folder: Path, damage: Callable[[bytes], bytes], position: int) -> None:
    file = files_of(folder)[position]
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(InputError) as raised:
        read_runs(folder)
    assert file.name in str(raised.value)
    assert "Parquet" in str(raised.value)


@pytest.mark.parametrize("position", [0, -1], ids=["first file", "last file"])
def test_a_file_with_damaged_data_before_a_whole_footer_is_reported(folder: Path, position: int) -> None:
    damage_data(files_of(folder)[position])
    with pytest.raises(InputError, match="Parquet") as raised:
        read_runs(folder)
    assert str(folder) in str(raised.value)


def test_a_column_whose_name_is_no_text_is_damage(folder: Path) -> None:
    file = files_of(folder)[1]
    file.write_bytes(file.read_bytes().replace(b"torch_version", b"\x80orch_version"))
    with pytest.raises(InputError, match="is damaged or no Parquet file") as raised:
        read_runs(folder)
    assert file.name in str(raised.value)


@pytest.mark.parametrize("position", [0, -1], ids=["first file", "last file"])
@pytest.mark.parametrize("version", [b"999", None], ids=["other", "unknown"])
def test_another_schema_version_is_named(folder: Path, version: bytes | None, position: int) -> None:
    file = files_of(folder)[position]
    table = pq.read_table(file)
    others = {name: value for name, value in table.schema.metadata.items() if name != b"schema_version"}
    metadata = others | ({b"schema_version": version} if version else {})
    pq.write_table(table.replace_schema_metadata(metadata), file)
    why = f"schema version {version.decode()}" if version else "has lost its schema metadata"
    with pytest.raises(InputError, match=why) as raised:
        read_runs(folder)
    assert file.name in str(raised.value)


def rewrite(file: Path, version: bytes, without: tuple[str, ...] = ()) -> None:
    """The file as another version would have it: its number, and columns that this version lacks."""
    table = pq.read_table(file)
    table = table.drop_columns([name for name in without if name in table.column_names])
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, b"schema_version": version}), file)


def test_columns_that_an_older_version_lacks_read_as_null(
    folder: Path, runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the version before this one has no `command` and no `num_workers`."""
    lacks = ("command", "num_workers")
    monkeypatch.setitem(results.READABLE, "0", frozenset(lacks))
    old, *others = files_of(folder)
    rewrite(old, b"0", lacks)
    found = {run["job_key"]: run for run in read_runs(folder)}
    for run in runs:
        nulls = dict.fromkeys(lacks) if run["job_key"] == old.stem else {}
        assert found[run["job_key"]] == run | nulls
    for file in others:
        rewrite(file, b"0", lacks)
    assert {tuple(run[name] for name in lacks) for run in read_runs(folder)} == {(None, None)}
    assert open_table(folder, "runs").to_table()["command"].null_count == len(runs)


def test_an_older_version_that_is_not_among_the_readable_ones_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(results.READABLE, "0", frozenset({"command"}))
    rewrite(files_of(folder)[1], b"-1")
    with pytest.raises(
        InputError, match="schema version -1; this program reads version 1 and 2 and 3 and 4 and 5 and 0"
    ):
        read_runs(folder)


@pytest.mark.parametrize("read", [read_runs, lambda folder: open_table(folder, "runs")], ids=["runs", "dataset"])
def test_a_column_that_its_version_has_must_be_there(folder: Path, read: Callable[[Path], object]) -> None:
    file = files_of(folder)[1]
    rewrite(file, b"1", ("mia",))
    with pytest.raises(InputError, match="has no column mia, which schema version 1 has") as raised:
        read(folder)
    assert file.name in str(raised.value)


def test_some_columns_of_more_files_than_are_read_at_once(
    folder: Path, runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "FILES_AT_ONCE", 4)
    table = read_table(folder, "runs", ["seed", "job_key"])
    assert len(runs) % 4
    assert table.column_names == ["seed", "job_key"]
    assert Counter(table["job_key"].to_pylist()) == Counter(run["job_key"] for run in runs)


def test_reading_changes_nothing_in_the_folder(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    read_runs(folder)
    contents = [{p.relative_to(root): p.read_bytes() for p in root.rglob("*.*")} for root in (folder, copy)]
    assert contents[0] == contents[1]


@pytest.mark.parametrize("version", [b"1", b"2", b"3"])
def test_rows_of_each_earlier_version_are_read_beside_new_ones(folder: Path, runs: list[Run], version: bytes) -> None:
    old, *_ = files_of(folder)
    rewrite(old, version, tuple(results.READABLE[version.decode()]))
    predictions = folder / "results" / "predictions" / old.name
    rewrite(predictions, version, tuple(results.READABLE[version.decode()]))
    ids = read_file(find_files(folder, "predictions"), str(predictions), ["id", "group"])
    assert ids["id"].null_count == ids["group"].null_count == len(ids) > 0
    found = {run["job_key"]: run for run in read_runs(folder)}
    assert len(found) == len(runs)
    assert found[old.stem]["memory_train"] is found[old.stem]["note"] is None
    assert [run["memory_train"] is None for run in found.values()].count(True) == 1


def test_a_folder_of_version_4_is_read_and_its_predictions_have_no_ids(folder: Path) -> None:
    """It wrote notes and memory, and predictions without id and group."""
    for table in ("runs", "predictions"):
        for file in (folder / "results" / table).iterdir():
            rewrite(file, b"4", ("id", "group"))
    assert all(run["memory_train"] is not None for run in read_runs(folder))
    reader = Reader(str(folder))
    for run in read_runs(folder):
        assert len(reader.read(run).forgotten) == run["num_forget"] + run["num_retain"]


def test_ids_and_groups_are_read_where_they_are_named_and_not_otherwise(folder: Path) -> None:
    assert not {"id", "group"} & set(read_table(folder, "predictions").column_names)
    assert not {"id", "group"} & set(open_table(folder, "predictions").schema.names)
    assert read_table(folder, "predictions", ["id", "index"]).column_names == ["id", "index"]
