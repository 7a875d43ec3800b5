"""Tables of what probes found, against numbers worked out by hand."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from salun_grid.analysis.cli import main
from salun_grid.analysis.measures import measure_tables
from salun_grid.analysis.report import report_html
from salun_grid.analysis.view import Results
from salun_grid.records.schemas import SCHEMAS
from tests.support.folders import make_run, write_folder

NAMES = SCHEMAS["measures"].names


def row(method: str, seed: int, element: int | None, value: float, **changes: Any) -> dict[str, Any]:
    run = make_run(method=method, seed=seed)
    probe = {"probe": "relearn", "probe_params": '{"epochs": 1}', "metric": "relearn_accuracy", "unit": "percent"}
    found = run | probe | {"element": element, "value": value, "seconds": 1.0} | changes
    return {name: found[name] for name in NAMES}


ROWS = [
    *(row("retrain", 0, 0, 10.0), row("retrain", 0, 1, 20.0), row("retrain", 1, 0, 14.0), row("retrain", 1, 1, 20.0)),
    *(row("salun", 0, 0, 11.0), row("salun", 0, 1, 50.0), row("salun", 1, 0, 17.0), row("salun", 1, 1, 54.0)),
]


def test_values_and_gaps_are_means_over_seeds() -> None:
    (table,) = measure_tables(ROWS, "On a machine.")
    assert table.columns == ("Dataset", "Augmentation", "Method", "Forget", "0", "1", "n")
    place = ["bloodmnist 64px", "none"]
    assert table.rows == [
        [*place, "retrain", "10%", "12.000 ± 2.828", "20.000 ± 0.000", "2"],
        [*place, "salun", "10%", "14.000 ± 4.243 (+2.000)", "52.000 ± 2.828 (+32.000)", "2"],
    ]
    assert "relearn_accuracy in percent" in table.note and "epochs 1" in table.note and "On a machine." in table.note


def test_a_gap_is_taken_over_the_seeds_that_have_a_retrain() -> None:
    without = [each for each in ROWS if (each["method"], each["seed"]) != ("retrain", 1)]
    (table,) = measure_tables(without, "")
    assert table.rows[1][4] == "14.000 ± 4.243 (+1.000)"
    (alone,) = measure_tables([each for each in ROWS if each["method"] == "salun"], "")
    assert alone.rows[0][4] == "14.000 ± 4.243"


def test_probes_settings_and_metrics_have_tables_of_their_own() -> None:
    other = [row("salun", 0, None, 3.0, probe_params=json.dumps({"epochs": 9})), row("salun", 0, None, 4.0, metric="m")]
    found = measure_tables([*ROWS, *other], "")
    assert len(found) == 3
    assert [table.columns[4:] for table in found] == [("0", "1", "n"), ("value", "n"), ("value", "n")]


@pytest.mark.parametrize("form", ["terminal", "markdown", "csv", "latex"])
def test_the_command_prints_every_table(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "results" / "measures"
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(ROWS, schema=SCHEMAS["measures"]), folder / "a.parquet")
    result = CliRunner().invoke(main, ["measures", str(tmp_path), "--format", form])
    assert result.exit_code == 0, result.output
    assert "52.000" in result.output and "+32.000" in result.output


def test_a_folder_without_measures_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    result = CliRunner().invoke(main, ["measures", str(tmp_path)])
    assert result.exit_code == 2 and "holds no measures yet" in result.stderr


@pytest.mark.usefixtures("blank_figures", "few_draws")
def test_the_report_has_the_tables(tmp_path: Path) -> None:
    write_folder(
        tmp_path, runs := [make_run(method=method, seed=seed) for method in ("retrain", "salun") for seed in (0, 1)]
    )
    assert "relearn_accuracy" not in report_html(str(tmp_path), Results.of(runs))
    (tmp_path / "results" / "measures").mkdir()
    pq.write_table(
        pa.Table.from_pylist(ROWS, schema=SCHEMAS["measures"]), tmp_path / "results" / "measures" / "a.parquet"
    )
    text = report_html(str(tmp_path), Results.of(runs))
    assert "<h2>relearn_accuracy, protocol paper</h2>" in text and "52.000" in text and "+32.000" in text
