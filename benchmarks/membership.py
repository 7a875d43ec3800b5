"""Benchmark of the membership attack over draws against scikit-learn's SVC on the same draws."""

from collections.abc import Callable
from functools import partial

import numpy as np
from sklearn.svm import SVC

from benchmarks.measure import Result, interleaved
from salun_grid.analysis.membership import DRAWS, SVC_C, over_draws
from salun_grid.analysis.metrics import Predictions, attack_confidences

# Members per draw: those of the demo, and of BloodMNIST with validation and with test images as non-members.
SIZES = (160, 1712, 3421)


def membership(repetitions: int) -> list[Result]:
    """Time DRAWS draws by the interior-point method, and DRAWS draws and one by scikit-learn, at each size."""
    results = []
    for size in SIZES:
        predictions = some_predictions(size)
        variants: dict[str, Callable[[], object]] = {
            f"{DRAWS} draws, scikit-learn": partial(by_scikit_learn, predictions, DRAWS),
            "one draw, scikit-learn": partial(by_scikit_learn, predictions, 1),
            f"{DRAWS} draws, ours": partial(over_draws, predictions, "val"),
        }
        seconds = interleaved(variants, repetitions, warm=size == SIZES[0])
        results.append(Result(f"membership attack, {size:,} members per draw", "attacks", 1, seconds))
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


def by_scikit_learn(predictions: Predictions, draws: int) -> float:
    """The mean of the paper's attack over draws, in percent."""
    members, others, forgotten = attack_confidences(predictions, "val")
    rng, n, values = np.random.default_rng(0), len(others), []
    for _ in range(draws):
        x = np.concatenate([rng.permutation(members)[:n], rng.permutation(others)[:n]])
        svc = SVC(C=SVC_C, gamma="auto").fit(x[:, None], np.repeat([1, 0], n))
        values.append(100 * float(np.mean(svc.predict(forgotten[:, None]) == 0)))
    return float(np.mean(values))
