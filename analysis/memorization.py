"""How much a train image's prediction owes to having been trained on, from models with and without the image.

Memorization is defined by Feldman (2020) and estimated by Feldman and Zhang (2020) as the accuracy on the image of
models that saw it minus that of models that did not. Few models stand behind each image here, so the true class's
softmax probability takes the place of the 0 or 1 of a hit.
"""

from collections import defaultdict

import numpy as np

from salun_grid.analysis.cells import Cell, Group, cells_of
from salun_grid.analysis.evidence import TRAINED_WITHOUT, Reader
from salun_grid.analysis.metrics import true_class_probability
from salun_grid.analysis.results import read_runs
from salun_grid.records.errors import InputError
from salun_grid.records.forget_label import RANDOM

FEWEST_SEEDS = 2


def memorization(folder: str, fingerprint: str, image_size: int) -> np.ndarray:
    """Mean true-class probability of the models that saw a train image minus that of those that did not, (N,).

    The models are the retrains of random forget sets in `folder`; models of different training are not mixed, but
    their scores are averaged. NaN for an image without a model of either kind. Raises InputError for a folder without
    such models of several seeds for the dataset with this fingerprint and image size.
    """
    runs = [
        run
        for run in read_runs(folder)
        if run["dataset_fingerprint"] == fingerprint
        and run["image_size"] == image_size
        and run["method"] in TRAINED_WITHOUT
        and run["forget_rule"] == RANDOM
    ]
    alike: dict[Group, list[Cell]] = defaultdict(list)
    for cell in cells_of(runs):
        alike[cell.group._replace(forget="")].append(cell)
    usable = [cells for cells in alike.values() if len({cell.run["seed"] for cell in cells}) >= FEWEST_SEEDS]
    if not usable:
        raise InputError(
            f"{folder} has no retrains of random forget sets of several seeds for this dataset and image size; run a "
            "study with --forget random:0.5 and several --seed there first."
        )
    reader = Reader(folder)
    return _mean_of_known(np.stack([_of_alike(cells, reader) for cells in usable]))


def _of_alike(cells: list[Cell], reader: Reader) -> np.ndarray:
    """The score of each image from models of the same training, (N,)."""
    sums: dict[bool, np.ndarray] = {}
    for cell in cells:
        predictions = reader.read(cell.run)
        if not predictions.finite:
            continue
        probability = true_class_probability(predictions.logits["train"], predictions.labels["train"])
        for forgotten in (False, True):
            own = np.where(predictions.forgotten == forgotten, [probability, np.ones_like(probability)], 0.0)
            sums[forgotten] = sums.get(forgotten, 0.0) + own
    if not sums:
        raise InputError(f"every retrain in {reader.folder} has NaN or infinity among its logits; train them again.")
    with np.errstate(invalid="ignore"):  # 0 / 0 where no model is of one kind
        seen, unseen = (sums[kind][0] / sums[kind][1] for kind in (False, True))
    return seen - unseen


def _mean_of_known(scores: np.ndarray) -> np.ndarray:
    """The mean over axis 0 without NaN; NaN where there is nothing else."""
    known = np.isfinite(scores)
    with np.errstate(invalid="ignore"):
        return np.where(known, scores, 0.0).sum(axis=0) / known.sum(axis=0)
