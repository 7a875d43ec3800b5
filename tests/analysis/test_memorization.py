"""Memorization against loops over images and models."""

from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from salun_grid.analysis.memorization import memorization
from salun_grid.records.errors import InputError
from tests.support.folders import Run, make_grid, make_predictions, write_folder, write_predictions

METHODS = ("retrain", "retrain-again", "original", "salun")
NUM_TRAIN = 40


def folder_of(path: Path, runs: list[Run], rate: float = 0.5) -> dict[str, object]:
    """Random predictions of every run, the same forget set for the runs of a seed; returns them by key."""
    write_folder(path, runs)
    found = {}
    for i, run in enumerate(runs):
        p = make_predictions(i, (NUM_TRAIN, 5, 5))
        same = make_predictions(0, (NUM_TRAIN, 5, 5)).labels
        forgotten = np.random.default_rng([7, run["seed"]]).random(NUM_TRAIN) < rate
        found[run["job_key"]] = type(p)(p.logits, same, forgotten)
        write_predictions(path, run["job_key"], found[run["job_key"]])
    return found


def runs_of(**changes) -> list[Run]:
    sizes = {"num_forget": 10, "num_retain": NUM_TRAIN - 10, "dataset_fingerprint": "sha256:a"}
    return make_grid(methods=METHODS, **sizes | changes)


def naive(runs: list[Run], predictions: dict, image: int) -> float:
    seen, unseen = [], []
    for run in runs:
        if run["method"] in ("retrain", "retrain-again"):
            p = predictions[run["job_key"]]
            probability = float(softmax(p.logits["train"][image].astype(float))[p.labels["train"][image]])
            (unseen if p.forgotten[image] else seen).append(probability)
    return sum(seen) / len(seen) - sum(unseen) / len(unseen) if seen and unseen else float("nan")


def test_it_is_the_mean_of_models_that_saw_the_image_minus_that_of_the_others(tmp_path):
    runs = runs_of(seeds=(0, 1, 2))
    predictions = folder_of(tmp_path / "out", runs)
    found = memorization(str(tmp_path / "out"), "sha256:a", 64)
    np.testing.assert_allclose(found, [naive(runs, predictions, i) for i in range(NUM_TRAIN)], rtol=1e-9)
    assert 0 < np.isnan(found).sum() < NUM_TRAIN


def test_models_of_other_training_are_compared_among_themselves_alone(tmp_path):
    blocks = [runs_of(seeds=(0, 1, 2), augmentations=(name,)) for name in ("none", "default")]
    predictions = folder_of(tmp_path / "out", [run for block in blocks for run in block])
    found = memorization(str(tmp_path / "out"), "sha256:a", 64)
    parts = [[naive(block, predictions, i) for i in range(NUM_TRAIN)] for block in blocks]
    known = ~np.isnan(parts).all(axis=0)
    np.testing.assert_allclose(found[known], np.nanmean(np.array(parts)[:, known], axis=0), rtol=1e-9)
    assert np.isnan(found[~known]).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": (3,)},
        {"dataset_fingerprint": "sha256:b"},
        {"image_size": 28},
        {"forget": "class:3", "forget_rule": "class"},
        {"methods": ("original", "salun")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_other_models_do_not_count(tmp_path, changes):
    sizes = {"num_forget": 10, "num_retain": NUM_TRAIN - 10, "dataset_fingerprint": "sha256:a"}
    folder_of(tmp_path / "out", make_grid(**{"methods": METHODS} | sizes | changes))
    with pytest.raises(InputError, match="no retrains of random forget sets of several seeds"):
        memorization(str(tmp_path / "out"), "sha256:a", 64)


def test_a_model_with_nan_is_left_out(tmp_path):
    runs = runs_of(seeds=(0, 1, 2, 3))
    predictions = folder_of(tmp_path / "out", runs)
    broken = predictions[runs[0]["job_key"]]
    broken.logits["train"][0, 0] = np.nan
    write_predictions(tmp_path / "out", runs[0]["job_key"], broken)
    found = memorization(str(tmp_path / "out"), "sha256:a", 64)
    np.testing.assert_allclose(found, [naive(runs[1:], predictions, i) for i in range(NUM_TRAIN)], rtol=1e-9)
