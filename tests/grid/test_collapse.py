"""A method that leaves a model that guesses: its row is written, with a note that the run prints."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from salun_grid.analysis.cells import cells_of
from salun_grid.analysis.completeness import remarks
from salun_grid.analysis.metrics import Predictions
from salun_grid.analysis.results import read_runs
from salun_grid.grid.collapse import collapse_note, guessing_percent
from salun_grid.grid.jobs import Workplace, run_job
from salun_grid.grid.plan import make_plan
from salun_grid.grid.specs import Evaluate
from salun_grid.grid.store import Store
from salun_grid.trainables.data import load
from tests.support.studies import PROTOCOL, small_study

NUM, CLASSES = 400, 4


def cell_of(source: Path, method: str) -> Evaluate:
    plan = make_plan(small_study(source, methods=(method, "retrain")))
    return next(cell for cell in plan.cells if cell.name == method)


def predictions(num_right: int) -> Predictions:
    """300 retained images, of which so many are classified right, and 100 forgotten ones, all right."""
    labels = np.arange(NUM) % CLASSES
    forgotten = np.arange(NUM) >= 300
    predicted = np.where(forgotten | (np.arange(NUM) < num_right), labels, (labels + 1) % CLASSES)
    logits = np.eye(CLASSES, dtype=np.float32)[predicted]
    return Predictions({"train": logits}, {"train": labels}, forgotten)


def test_guessing_is_the_largest_class_and_three_deviations() -> None:
    """Of 100 images 80 of one class: 0.8 + 3 · √(0.8 · 0.2 / 100)."""
    assert guessing_percent(np.array([0] * 80 + [1] * 20)) == pytest.approx(80 + 3 * 4)
    assert guessing_percent(np.zeros(5, dtype=int)) == 100


# 25 % and three deviations of 2.5 % are 32.5 %, or 97.5 of 300 images.
@pytest.mark.parametrize(("num_right", "collapsed"), [(0, True), (75, True), (97, True), (98, False), (300, False)])
def test_a_method_at_chance_has_collapsed(small_npz: Path, num_right: int, collapsed: bool) -> None:
    note = collapse_note(cell_of(small_npz, "salun"), predictions(num_right), original_accuracy=90.0)
    if collapsed:
        assert note == (
            f"salun collapsed: its accuracy on D_r, {num_right / 3:.1f} %, is no higher than guessing gets (32.5 %); "
            "lower learning_rate, now 0.013."
        )
    else:
        assert note is None


@pytest.mark.parametrize(
    ("method", "advice"), [("ssd", "raise alpha, now 10."), ("fisher:alpha=2", "lower alpha, now 2.")]
)
def test_the_note_names_a_setting_of_the_method(small_npz: Path, method: str, advice: str) -> None:
    assert collapse_note(cell_of(small_npz, method), predictions(0), 90.0).endswith(f"; {advice}")


@pytest.mark.parametrize("method", ["original", "retrain", "retrain-again"])
def test_a_control_at_chance_is_no_methods_collapse(small_npz: Path, method: str) -> None:
    plan = make_plan(small_study(small_npz))
    (cell,) = [cell for cell in plan.cells if cell.method == method]
    assert collapse_note(cell, predictions(0), 90.0) is None


def test_where_the_original_guessed_the_method_did_not_collapse(small_npz: Path) -> None:
    assert collapse_note(cell_of(small_npz, "salun"), predictions(0), original_accuracy=32.0) is None


def test_a_collapse_is_a_row_with_a_note_and_touches_no_other(small_npz: Path, tmp_path: Path) -> None:
    protocol = replace(PROTOCOL, training=replace(PROTOCOL.training, epochs=12))
    methods = ("retrain", "original", "salun", "random_label:learning_rate=1,epochs=3")
    plan = make_plan(replace(small_study(small_npz, methods=methods), protocol=protocol))
    store, told = Store(str(tmp_path / "out")), []
    store.create()
    for job in plan.jobs.values():
        place = Workplace(plan.study, load(job.data), store, torch.device("cpu"), lambda epoch: None, tell=told.append)
        run_job(job, place, lambda loop: loop())
    rows = {row["method"]: row for row in read_runs(store.out)}
    assert len(rows) == 4
    note = rows["random_label"]["note"]
    assert note.startswith("random_label collapsed: ") and note.endswith("; lower learning_rate, now 1.")
    assert [rows[name]["note"] for name in ("retrain", "original", "salun")] == [None] * 3
    (line,) = told
    assert line.startswith("random_label:") and line.endswith(note)
    shown = remarks(cells_of(list(rows.values())))
    assert f"Collapsed: random_label, small 8px, none, forgetting 10%, seed 0: {note.removesuffix('.')}" in shown
