"""Which forgotten images stay most recognisable, and their pixels where the dataset is at hand."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from salun_grid.analysis.attacks import Case
from salun_grid.analysis.cells import Cell
from salun_grid.analysis.scores import log_odds
from salun_grid.records.built_in import BUILT_IN
from salun_grid.records.errors import InputError
from salun_grid.records.forget_label import reference_group
from salun_grid.records.npz import medmnist_file, read_train_images


@dataclass(frozen=True)
class Worst:
    """One forgotten train image under one method: mean excess over the `n` models that were to forget it."""

    index: int
    label: int
    excess: float
    n: int


def excess_confidence(case: Case) -> np.ndarray:
    """Logit-scaled confidence of the model minus that of the retrain, for each image of D_f.

    Float64 (|D_f|,); about 0 for a model that never saw the image. `case` must have its retrain. The difference is
    LiRA's numerator with the cell's retrain as the only reference (Carlini et al. 2022).
    """
    assert case.retrain is not None
    forgotten, labels = case.model.forgotten, case.model.labels["train"]
    model, retrain = (log_odds(p.logits["train"][forgotten], labels[forgotten]) for p in (case.model, case.retrain))
    return model - retrain


class Recogniser:
    """Gathers the excess of every forgotten image, model by model, and names the largest means."""

    def __init__(self) -> None:
        self.totals: dict[tuple, np.ndarray] = {}
        self.labels: dict[str, np.ndarray] = {}

    def add(self, cell: Cell, case: Case) -> None:
        """Record a model under the names of its protocol and variant, unless it is a retrain or lacks a finite one.

        Forget sets are averaged where `reference_group` is equal: random draws, but not a class with them.
        """
        run = cell.run
        if case.retrain is None or not case.retrain.finite or run["method"] == "retrain":
            return
        forget = reference_group(run["forget"])
        key = (run["dataset_fingerprint"], run["dataset"], run["image_size"], forget, cell.group.protocol, cell.method)
        sums = self.totals.setdefault(key, np.zeros((2, len(case.model.forgotten))))
        where = case.model.forgotten
        sums[0, where] += excess_confidence(case)
        sums[1, where] += 1
        self.labels[run["dataset_fingerprint"]] = case.model.labels["train"]

    def worst(self, count: int) -> dict[tuple, list[Worst]]:
        """The `count` largest means by (fingerprint, dataset, image_size, reference group, protocol, method)."""
        found: dict[tuple, list[Worst]] = defaultdict(list)
        for key, (total, n) in self.totals.items():
            mean = np.where(n > 0, total / np.maximum(n, 1), -np.inf)
            for i in np.argsort(-mean, kind="stable")[: min(count, int((n > 0).sum()))]:
                found[key].append(Worst(int(i), int(self.labels[key[0]][i]), float(mean[i]), int(n[i])))
        return found


# --- pixels -----------------------------------------------------------------------------------------------


def train_images(fingerprint: str, dataset: str, image_size: int, files: Sequence[Path]) -> np.ndarray | None:
    """The train images uint8 (N, H, W, C) of the dataset with this fingerprint, or None if no file has it.

    Searched in `files`, MedMNIST's folder (MEDMNIST_ROOT or ~/.medmnist), and among the built-in datasets.
    Raises InputError if one of `files` is missing or is not an .npz file of images.
    """
    for file in files:
        if not file.is_file():
            raise InputError(f"there is no file {file}; give the .npz file that the study ran on.")
    if dataset in BUILT_IN:
        own_fingerprint, images, _ = BUILT_IN[dataset]()
        return images["train"] if fingerprint == own_fingerprint else None
    folder = Path(os.path.expanduser(os.environ.get("MEDMNIST_ROOT") or "~/.medmnist"))  # noqa: PTH111  never raises
    own = folder / medmnist_file(dataset, image_size)
    kind, _, digest = fingerprint.partition(":")
    for file in [*files, *([own] if own.is_file() else [])]:
        with file.open("rb") as opened:
            matches = hashlib.file_digest(opened, kind).hexdigest() == digest
        if matches:
            return read_train_images(file)
    return None
