"""Two folders side by side, and one folder as a tidy CSV."""

import csv
import io
import statistics
from pathlib import Path

import pytest

from salun_grid.analysis.catalogue import METRICS as FROM_PREDICTIONS
from salun_grid.analysis.cells import cells_of
from salun_grid.analysis.compare import COLUMNS, compare
from salun_grid.analysis.export import COLUMNS as EXPORTED
from salun_grid.analysis.export import tidy_csv
from salun_grid.analysis.gaps import gaps
from salun_grid.analysis.view import Results
from salun_grid.records.errors import InputError
from salun_grid.records.schemas import SCHEMAS
from tests.support.commands import call, check_mistake
from tests.support.folders import Run, make_grid, make_run, protocol_text, write_folder


def rows_of(first: list[Run], second: list[Run]) -> dict[tuple[str, str], dict[str, str]]:
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in compare(Results.of(first), Results.of(second)).rows]
    return {(row["Method"], row["Forget"]): row for row in rows}


def test_values_stand_side_by_side_and_ag_differences_are_paired_by_seed() -> None:
    first, second = make_grid(seeds=(0, 1, 2)), make_grid(seeds=(1, 2, 3), ua=50.0)
    row = rows_of(first, second)["salun", "10%"]

    def ag(runs: list[Run], seed: int) -> float:
        salun, retrain = (
            next(r for r in runs if (r["method"], r["seed"]) == (method, seed)) for method in ("salun", "retrain")
        )
        return gaps(salun, retrain)["ag"]

    differences = [ag(second, seed) - ag(first, seed) for seed in (1, 2)]
    assert row["AG difference"].startswith(f"{statistics.mean(differences):+.2f} [")
    assert row["UA"].endswith("| 50.00 ± 0.00")
    assert row["n"] == "3 | 3, 2 shared"


def test_what_one_study_lacks_is_a_dash() -> None:
    rows = rows_of(make_grid(rates=(0.1,)), make_grid(rates=(0.5,)))
    assert rows["salun", "10%"]["TA"].endswith("| –")
    assert rows["salun", "50%"]["TA"].startswith("– |")
    assert {rows["salun", rate]["AG difference"] for rate in ("10%", "50%")} == {"–"}


def test_other_pixels_and_other_settings_are_named() -> None:
    other = make_grid(protocol_json=protocol_text(training={"epochs": 5}), dataset_fingerprint="md5:x")
    note = compare(Results.of(make_grid()), Results.of(other)).note
    assert "training.epochs 200 | 5" in note
    assert "bloodmnist 64px holds other images" in note
    assert "3 of 3 rows are in both" in note
    assert "They differ" not in compare(Results.of(make_grid()), Results.of(make_grid())).note


def test_variants_of_a_method_meet_their_like() -> None:
    """The one of two that both folders hold, though the second holds no other."""
    variants = [make_run(seed=s, method_params=f'{{"epochs": {e}}}', ua=2.0) for e in (5, 9) for s in range(3)]
    retrains = [make_run(seed=s, method="retrain") for s in range(3)]
    second = retrains + variants[:3]
    rows = rows_of(retrains + variants, second)
    assert rows["salun epochs=5", "10%"]["n"] == "3 | 3"
    assert rows["salun epochs=9", "10%"]["n"] == "3 | –"
    assert rows_of(second, retrains + variants[3:])["salun", "10%"]["n"] == "3 | 3"


def test_one_of_two_data_sets_of_a_name_meets_its_like() -> None:
    both = make_grid(dataset_fingerprint="md5:a") + make_grid(dataset_fingerprint="md5:b")
    table = compare(Results.of(both), Results.of(make_grid(dataset_fingerprint="md5:b")))
    assert "3 of 6 rows are in both" in table.note
    assert "other images" not in table.note
    assert "holds other images" in compare(Results.of(both), Results.of(make_grid(dataset_fingerprint="md5:c"))).note


def test_what_is_missing_in_either_stands_below() -> None:
    runs = make_grid(seeds=(0, 1, 2))
    fewer = [run for run in runs if (run["method"], run["seed"]) != ("retrain", 0)]
    assert (
        "Missing: retrain, bloodmnist 64px, none, forgetting 10%: seed 0."
        in compare(Results.of(runs), Results.of(fewer)).note
    )
    assert rows_of(fewer, runs)["salun", "10%"]["n"] == "3 (2 paired) | 3, 2 shared"


def test_a_folder_with_two_protocols_for_one_cell_is_refused() -> None:
    both = make_grid() + make_grid(protocol_json=protocol_text(training={"epochs": 5}))
    with pytest.raises(InputError, match="the second folder holds"):
        compare(Results.of(make_grid()), Results.of(both))


def test_compare_from_the_command_line(tmp_path: Path) -> None:
    first, second = (write_folder(tmp_path / name, make_grid()) for name in "ab")
    result = call("compare", first, second, "--format", "csv")
    assert len(list(csv.reader(io.StringIO(result.stdout)))) == 4
    check_mistake(call("compare", first, tmp_path / "nowhere"), "nowhere")


# --- export -----------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "out", make_grid(seeds=(0, 1)))


def exported(*words: object) -> list[dict[str, str]]:
    result = call("export", *words)
    assert result.exit_code == 0, result.output
    return list(csv.DictReader(io.StringIO(result.stdout)))


def test_every_run_and_metric_has_a_line(folder: Path) -> None:
    rows = exported(folder)
    assert tuple(rows[0]) == EXPORTED
    found = {(row["job_key"], row["metric"], row["element"]) for row in rows}
    assert len(found) == len(rows)
    names = {"ua", "ra", "ta", "mia", "ag", "ag3", "seconds_total", *FROM_PREDICTIONS}
    for run in make_grid(seeds=(0, 1)):
        assert names <= {metric for key, metric, _ in found if key == run["job_key"]}
    assert all(row["value"] or row["reason"] for row in rows)


def test_the_retrains_value_and_the_signed_gap_stand_beside(folder: Path) -> None:
    rows = {(row["method"], row["seed"], row["metric"], row["element"]): row for row in exported(folder)}
    checked = 0
    for (_method, seed, metric, element), row in rows.items():
        if metric in ("ag", "ag3") or not row["value"]:
            continue
        if not rows["retrain", seed, metric, element]["value"]:
            assert row["signed_gap"] == ""
            continue
        retrain = rows["retrain", seed, metric, element]["value"]
        assert row["retrain_value"] == retrain
        assert float(row["signed_gap"]) == pytest.approx(float(row["value"]) - float(retrain))
        checked += 1
    assert checked > 100


def test_export_without_predictions_needs_none(folder: Path) -> None:
    rows = exported(folder, "--no-predictions")
    assert {row["metric"] for row in rows}.isdisjoint(FROM_PREDICTIONS)
    assert {row["unit"] for row in rows} == {"percent", "seconds", "bytes"}


def test_what_has_no_value_says_why(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, [make_run(seed=0)])
    reasons = {row["metric"]: row["reason"] for row in exported(folder) if not row["value"]}
    assert reasons["ag"] == reasons["js_test"] == "no retrain of this cell"
    assert reasons["auc_lira"] == "no retrain of another seed to serve as reference"


def test_what_is_no_number_says_so() -> None:
    runs = [make_run(method="retrain"), make_run(ua=float("nan"))]
    rows = csv.DictReader(io.StringIO(tidy_csv(cells_of(runs))))
    reasons = {row["metric"]: row["reason"] for row in rows if row["method"] == "salun" and not row["value"]}
    assert reasons == {"ua": "not a number in its row"} | dict.fromkeys(("ag", "ag3"), "not a number among the metrics")


def test_every_duration_is_there_and_one_that_an_older_version_lacks_says_so() -> None:
    durations = {name for name in SCHEMAS["runs"].names if name.startswith("seconds_")}
    rows = list(csv.DictReader(io.StringIO(tidy_csv(cells_of([make_run(seconds_compile=None)])))))
    found = {row["metric"]: row for row in rows if row["unit"] == "seconds"}
    assert found.keys() == durations
    assert (found["seconds_compile"]["value"], found["seconds_load"]["value"]) == ("", "2.0")
    assert found["seconds_compile"]["reason"] == "not in rows of this schema version"


def test_memory_and_the_note_are_there_and_unknown_memory_says_so() -> None:
    runs = [make_run(memory_train=None, note="=salun collapsed"), make_run(method="retrain")]
    rows = list(csv.DictReader(io.StringIO(tidy_csv(cells_of(runs)))))
    memory = {name for name in SCHEMAS["runs"].names if "memory_" in name}
    found = {row["metric"]: row for row in rows if row["unit"] == "bytes" and row["method"] == "salun"}
    assert found.keys() == memory
    assert (found["memory_train"]["value"], found["memory_train"]["reason"]) == ("", "not known")
    assert float(found["memory_eval"]["value"]) == 2**30
    assert {row["note"] for row in rows if row["method"] == "salun"} == {"'=salun collapsed"}
    assert {row["note"] for row in rows if row["method"] == "retrain"} == {""}
