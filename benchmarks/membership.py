"""Benchmark of the membership attack over draws against scikit-learn's SVC on the same draws."""

from collections.abc import Callable
from functools import partial

import numpy as np
from sklearn.svm import SVC

from benchmarks.measure import Result, interleaved
from salun_grid.analysis.membership import DRAWS, SVC_C, over_draws
from salun_grid.analysis.metrics import Predictions, true_class_probability

# Members of a draw: those of the demo, and of BloodMNIST with test images as non-members.
SIZES = (160, 3421)


def membership(repetitions: int) -> list[Result]:
    """Time DRAWS draws by the interior-point method and one draw by scikit-learn, at both sizes."""
    results = []
    for size in SIZES:
        predictions = some_predictions(size)
        variants: dict[str, Callable[[], object]] = {
            "one draw, scikit-learn": partial(one_draw, predictions),
            f"{DRAWS} draws, ours": partial(over_draws, predictions, np.ones(size, dtype=bool), "val"),
        }
        seconds = interleaved(variants, repetitions)
        results.append(Result(f"Membership attack, {size:,} members of a draw", "attacks", 1, seconds))
    return results


def some_predictions(size: int) -> Predictions:
    """Random logits of 8 classes, higher for the true class of the train images; a tenth of these is forgotten."""
    rng = np.random.default_rng(0)
    sizes = {"train": 3 * size, "val": size, "test": size}
    labels = {split: rng.integers(0, 8, count) for split, count in sizes.items()}
    logits = {split: rng.normal(0, 2, (count, 8)).astype(np.float32) for split, count in sizes.items()}
    for split, own in logits.items():
        own[np.arange(len(own)), labels[split]] += 6.0 if split == "train" else 4.0
    return Predictions(logits, labels, np.arange(3 * size) % 10 == 0)


def one_draw(predictions: Predictions) -> float:
    """The paper's attack on one seeded draw."""
    rng = np.random.default_rng(0)
    probability = {s: true_class_probability(predictions.logits[s], predictions.labels[s]) for s in ("train", "val")}
    members, forgotten = probability["train"][~predictions.forgotten], probability["train"][predictions.forgotten]
    others = probability["val"]
    x = np.concatenate([rng.permutation(members)[: len(others)], others])
    svc = SVC(C=SVC_C, gamma="auto").fit(x[:, None], np.repeat([1, 0], len(others)))
    return 100.0 * float(np.mean(svc.predict(forgotten[:, None]) == 0))
