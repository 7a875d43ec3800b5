"""Rows that landed, as measurements: their work is what the plan says, their seconds what the columns say."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from salun_grid.analysis.results import read_runs
from salun_grid.grid.measured import measurement, measurements, predicted_images
from salun_grid.grid.plan import Plan, make_plan
from salun_grid.grid.rows import settings_of
from salun_grid.grid.store import Store
from salun_grid.records.errors import InputError
from salun_grid.trainables.protocol import UnlearningConfig
from tests.support.small_data import write_small_npz
from tests.support.studies import row_work_of, run_without_ray, small_study

COUNTS = {"train": 120, "val": 30, "test": 40}


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, str]:
    """A small study with every method, and the folder of its rows."""
    folder = tmp_path_factory.mktemp("landed")
    study = small_study(write_small_npz(folder / "small.npz"), augmentations=("default+ra",))
    # Another batch than the training's, so that a mix-up of the two shows.
    protocol = replace(study.protocol, unlearning=UnlearningConfig(epochs=1, batch_size=16))
    plan = make_plan(replace(study, protocol=protocol))
    run_without_ray(plan, Store(str(folder / "out")))
    return plan, str(folder / "out")


def test_a_row_has_the_work_that_its_job_was_planned_with(landed: tuple[Plan, str]) -> None:
    plan, out = landed
    works = {cell.key: row_work_of(cell) for cell in plan.cells}
    rows = read_runs(out)
    assert {row["job_key"] for row in rows} == set(works)
    for row in rows:
        assert measurement(row, COUNTS).work == works[row["job_key"]]
    batches = {row["method"]: measurement(row, COUNTS).work.batch_size for row in rows}
    assert batches == {"retrain": 32, "retrain-again": 32, "original": 32, "salun": 16}


@pytest.mark.parametrize("method", ["scrub", "scrub:epochs=7", "regun", "gradient_ascent"])
def test_passes_forward_alone_count_as_planned(landed: tuple[Plan, str], method: str) -> None:
    """No column counts them: they follow from the row's method and its settings."""
    study = replace(landed[0].study, methods=(method,))
    (cell,) = [cell for cell in make_plan(study).cells if cell.subject.method != "retrain"]
    row = read_runs(landed[1])[0] | {"method": cell.method, "method_params": json.dumps(settings_of(cell.subject))}
    planned = cell.subject.work.forward_images
    assert measurement(row, COUNTS).work.forward_images == planned
    assert (planned > 0) == (method != "gradient_ascent")
    assert measurement(row | {"method": "of another version"}, COUNTS).work.forward_images == 0


def test_the_seconds_are_those_of_the_columns(landed: tuple[Plan, str]) -> None:
    rows = {row["method"]: row for row in read_runs(landed[1])}
    for row in rows.values():
        found = measurement(row, COUNTS)
        assert found.device == row["device_name"]
        assert found.seconds_training == row["seconds_mask"] + row["seconds_train"]
        assert found.seconds_evaluation == row["seconds_load"] + row["seconds_eval"]
    assert measurement(rows["salun"], COUNTS).seconds_training > rows["salun"]["seconds_train"] > 0
    assert measurement(rows["original"], COUNTS).seconds_training == 0


def test_four_workers_hold_four_devices(landed: tuple[Plan, str]) -> None:
    for row in read_runs(landed[1]):
        alone, together = measurement(row, COUNTS), measurement({**row, "num_workers": 4}, COUNTS)
        # The row of an original is evaluated alone, whoever trained it.
        assert together.seconds == pytest.approx((1 if row["method"] == "original" else 4) * alone.seconds)


def test_the_splits_are_counted_in_the_predictions(landed: tuple[Plan, str], tmp_path: Path) -> None:
    _, out = landed
    row = read_runs(out)[0]
    assert predicted_images(out, row["job_key"]) == COUNTS
    assert predicted_images(out, "none") is None
    assert measurements([out], {}) == measurements([out], {row["dataset_fingerprint"]: COUNTS})

    Path(tmp_path, "results").mkdir()
    Path(tmp_path, "results", "runs").symlink_to(Path(out, "results", "runs"))
    without = measurements([str(tmp_path)], {})
    assert all(found.seconds_evaluation == found.work.eval_images == 0 for found in without)
    assert measurements([str(tmp_path)], {row["dataset_fingerprint"]: COUNTS}) == measurements([out], {})


def test_a_folder_named_twice_counts_once(landed: tuple[Plan, str]) -> None:
    out = landed[1]
    assert len(measurements([out, out], {})) == len(read_runs(out)) == 4


@pytest.mark.parametrize(("folder", "sentence"), [("none", "there is no folder"), (".", "holds no runs yet")])
def test_a_folder_without_rows(folder: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=sentence):
        measurements([str(tmp_path / folder)], {})


def test_rows_of_another_protocol_are_another_kind(landed: tuple[Plan, str]) -> None:
    row: dict[str, Any] = read_runs(landed[1])[0]
    bf16 = row["protocol_json"].replace('"precision":"fp32"', '"precision":"bf16"')
    imagenet = row["protocol_json"].replace('"stem":"3x3"', '"stem":"imagenet"')
    texts = (row["protocol_json"], bf16, imagenet)
    found = [measurement({**row, "protocol_json": text}, COUNTS).work for text in texts]
    assert len({work.kind for work in found}) == 3
    assert found[0].gmac == found[1].gmac > found[2].gmac
