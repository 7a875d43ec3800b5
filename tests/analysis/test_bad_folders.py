"""What people hand in by mistake: each is one clear sentence, exit status 2, and nothing is written."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from salun_grid.records.schemas import SCHEMAS
from tests.support.commands import call, check_mistake, contents
from tests.support.folders import damage_data, make_grid, write_folder

Spoil = Callable[[Path], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "out", make_grid(seeds=(0, 1, 2, 3)))


def files(folder: Path, table: str) -> list[Path]:
    return sorted((folder / "results" / table).glob("*.parquet"))


def emptied(folder: Path) -> None:
    shutil.rmtree(folder / "results")


def without_runs(folder: Path) -> None:
    shutil.rmtree(folder / "results" / "runs")


def cut_off_in_the_middle_of_a_row_file(folder: Path) -> None:
    file = files(folder, "runs")[2]
    file.write_bytes(file.read_bytes()[:-100])


def of_two_versions(folder: Path) -> None:
    table = pq.read_table(files(folder, "runs")[1])
    metadata = {**table.schema.metadata, b"schema_version": b"7"}
    pq.write_table(table.replace_schema_metadata(metadata), files(folder, "runs")[1])


def with_a_row_twice(folder: Path) -> None:
    file = files(folder, "runs")[0]
    shutil.copy(file, file.with_name("copy of it.parquet"))


def without_any_row(folder: Path) -> None:
    for file in files(folder, "runs")[1:]:
        file.unlink()
    pq.write_table(SCHEMAS["runs"].empty_table(), files(folder, "runs")[0])


ROWS: dict[Spoil, tuple[str, ...]] = {
    emptied: ("holds no runs yet", "salun-grid run"),
    without_runs: ("holds no runs yet",),
    cut_off_in_the_middle_of_a_row_file: ("damaged or no Parquet file", "copy the folder again"),
    of_two_versions: ("schema version 7", "reads version 1"),
    with_a_row_twice: ("2 times", "delete the copies"),
    without_any_row: ("hold no row",),
}


@pytest.mark.parametrize("command", ["tables", "verdicts", "metrics", "figure", "report"])
@pytest.mark.parametrize("spoil", ROWS, ids=lambda spoil: spoil.__name__)
def test_bad_rows(folder: Path, spoil: Spoil, command: str) -> None:
    spoil(folder)
    before = contents(folder)
    check_mistake(call(command, folder), *ROWS[spoil])
    assert contents(folder) == before


def without_predictions(folder: Path) -> None:
    shutil.rmtree(folder / "results" / "predictions")


def without_some_predictions(folder: Path) -> None:
    files(folder, "predictions")[3].unlink()


def with_predictions_cut_off(folder: Path) -> None:
    file = files(folder, "predictions")[3]
    file.write_bytes(file.read_bytes()[:-10])


def with_damaged_predictions(folder: Path) -> None:
    damage_data(files(folder, "predictions")[3])


def only_rows(folder: Path, keep: Callable[[pa.Table], pa.Array]) -> None:
    """Each file of predictions with some of its rows."""
    for file in files(folder, "predictions"):
        table = pq.read_table(file)
        pq.write_table(table.filter(keep(table)), file)


def without_a_split(folder: Path) -> None:
    only_rows(folder, lambda table: pc.not_equal(table["split"], "val"))


def with_a_row_left_out(folder: Path) -> None:
    only_rows(folder, lambda table: pc.or_(pc.not_equal(table["split"], "test"), pc.not_equal(table["index"], 2)))


PREDICTIONS: dict[Spoil, tuple[str, ...]] = {
    without_predictions: ("holds no predictions yet",),
    without_some_predictions: ("holds 0 train images", "instead of 12", "not a whole copy"),
    with_predictions_cut_off: ("damaged or no Parquet file",),
    without_a_split: ("holds 0 val images", "instead of some", "copy the folder again"),
    with_a_row_left_out: ("holds 5 test images", "instead of 6", "copy the folder again"),
    with_damaged_predictions: ("damaged", "copy the folder again"),
}


@pytest.mark.parametrize("spoil", PREDICTIONS, ids=lambda spoil: spoil.__name__)
def test_bad_predictions(folder: Path, spoil: Spoil) -> None:
    spoil(folder)
    before = contents(folder)
    check_mistake(call("metrics", folder, "--metric", "nll"), *PREDICTIONS[spoil])
    assert contents(folder) == before


@pytest.mark.parametrize("spoil", PREDICTIONS, ids=lambda spoil: spoil.__name__)
def test_tables_do_without_predictions_and_verdicts_refuse_damaged_ones(folder: Path, spoil: Spoil) -> None:
    """A verdict from other metrics than those declared must not pass unnoticed."""
    spoil(folder)
    assert call("tables", folder).exit_code == 0
    if spoil is without_predictions:
        assert "the paper's SVC attack" in " ".join(call("verdicts", folder).stdout.split())
    else:
        check_mistake(call("verdicts", folder), "copy the folder again")


def test_a_study_without_retrains_says_so_wherever_it_matters(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, make_grid(methods=("original", "salun"), seeds=(0, 1, 2)))
    assert "no retrain" in call("tables", folder, "--format", "markdown").stdout
    verdicts = call("verdicts", folder, "--format", "markdown").stdout
    assert verdicts.count("no retrain to compare with") == 2
    assert "No js_forget: no retrain of this cell." in call("metrics", folder, "--format", "markdown").stdout.replace(
        "\\", ""
    ).replace("js_forget, agreement_forget, ks_forget, forgetting_quality, tow", "js_forget")
    check_mistake(call("figure", folder), "run the method `retrain` too")


def test_nothing_but_retrains_has_no_verdict(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, make_grid(methods=("retrain",)))
    check_mistake(call("verdicts", folder), "retrains only")


def test_nan_metrics_are_named_and_spoil_no_other_row(tmp_path: Path) -> None:
    runs = make_grid(seeds=(0, 1, 2))
    folder = write_folder(tmp_path / "whole", runs)
    without_predictions(folder)
    whole = call("verdicts", folder, "--format", "csv").stdout.splitlines()
    runs[2] |= {"mia": math.nan}
    assert runs[2]["method"] == "salun"
    folder = write_folder(tmp_path / "spoilt", runs)
    without_predictions(folder)
    text = call("verdicts", folder, "--format", "markdown").stdout
    assert "NaN among the metrics, no test" in text
    assert "Not a number: mia of salun" in text
    spoilt = call("verdicts", folder, "--format", "csv").stdout.splitlines()
    assert [a == b for a, b in zip(whole, spoilt, strict=True)] == [True, True, False]
