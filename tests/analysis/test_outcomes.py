"""Outcomes of models, from predictions and from rows, and the errors of their differences."""

from pathlib import Path

import numpy as np
import pytest

from salun_grid.analysis import metrics
from salun_grid.analysis.attacks import Case
from salun_grid.analysis.catalogue import METRICS
from salun_grid.analysis.cells import cells_of
from salun_grid.analysis.counts import paired_auc_se, paired_proportion_se, placements, unpaired_proportion_se
from salun_grid.analysis.outcomes import answerable, of_predictions, of_row, outcomes_in, scored
from salun_grid.records.question import Question
from tests.support.folders import make_grid, make_predictions, write_folder

SIZES = (200, 60, 80)
METHODS = ("retrain", "retrain-again", "original", "salun")


def test_an_outcome_has_the_metrics_of_its_predictions() -> None:
    (cell, *_), predictions = cells_of(make_grid(seeds=(0,))), make_predictions(3, SIZES)
    values = of_predictions(cell, predictions).values
    assert values["ua"] == pytest.approx(metrics.unlearning_accuracy(predictions))
    assert values["ra"] == pytest.approx(metrics.remaining_accuracy(predictions))
    assert values["ta"] == pytest.approx(metrics.testing_accuracy(predictions))
    assert values["auc"] == pytest.approx(100 * METRICS["auc_loss"].compute(Case(predictions)))
    assert values["mia"] == cell.run["mia"]


def test_errors_are_paired_where_both_have_predictions() -> None:
    (cell, *_), pair = cells_of(make_grid(seeds=(0,))), [make_predictions(seed, SIZES) for seed in (3, 4)]
    pair[1] = type(pair[1])(pair[1].logits, pair[0].labels, pair[0].forgotten)
    first, second = (of_predictions(cell, predictions) for predictions in pair)
    hits = [p.logits["test"].argmax(1) == p.labels["test"] for p in pair]
    assert first.se("ta", second) == paired_proportion_se(*hits)
    ranks = [placements(*Case(p).scores("loss")) for p in pair]
    assert first.se("auc", second) == paired_auc_se(*ranks)
    row = of_row(cell)
    assert row.se("ua", row) == unpaired_proportion_se(row.values["ua"], row.values["ua"], cell.run["num_forget"])
    assert row.se("ta", row) == 0.0, "runs has no number of test images"
    assert first.se("mia", second) == row.se("mia", row)


def test_a_model_without_finite_logits_has_no_value_from_predictions() -> None:
    (cell, *_), predictions = cells_of(make_grid(seeds=(0,))), make_predictions(3, SIZES)
    predictions.logits["test"][0, 0] = np.nan
    assert np.isnan(of_predictions(cell, predictions).values["auc"])


def test_scored_is_the_average_of_absolute_gaps_and_its_differences(tmp_path: Path) -> None:
    runs = make_grid(seeds=(0,), methods=METHODS)
    (block,) = outcomes_in(str(write_folder(tmp_path, runs)), cells_of(runs))
    found = scored(block, Question())

    def ag(method: str) -> float:
        ours, target = block[method].values, block["retrain"].values
        return float(np.mean([abs(ours[m] - target[m]) for m in ("ua", "ra", "ta", "auc")]))

    assert set(found) == set(METHODS[1:])
    assert found["salun"].ag == pytest.approx(ag("salun"))
    assert found["salun"].over_noise and found["salun"].over_no_op
    assert found["salun"].over_noise.points == pytest.approx(ag("salun") - ag("retrain-again"))
    assert found["salun"].over_no_op.points == pytest.approx(ag("salun") - ag("original"))
    assert found["original"].over_no_op is None and found["retrain-again"].over_noise is None


def test_a_question_that_needs_predictions_falls_back_without_them(tmp_path: Path) -> None:
    folder = str(write_folder(tmp_path, make_grid()))
    assert answerable(folder, Question("auc", 2.0, ("salun",))) == Question("auc", 2.0, ("salun",))
    for file in (tmp_path / "results" / "predictions").iterdir():
        file.unlink()
    assert answerable(folder, Question("auc", 2.0, ("salun",))) == Question("mia", 2.0, ("salun",))
