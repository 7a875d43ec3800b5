"""Which forgotten images stay most recognisable, and their pixels where the dataset is at hand."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from salun_grid.analysis.catalogue import Case
from salun_grid.analysis.results import Run
from salun_grid.analysis.scores import log_odds
from salun_grid.records.errors import InputError


@dataclass(frozen=True)
class Worst:
    """One forgotten train image under one method: mean excess over the `n` models that were to forget it."""

    index: int
    label: int
    excess: float
    n: int


def excess_confidence(case: Case) -> np.ndarray:
    """How much surer of the truth the model is than the retrain, in logit-scaled confidence, of each image of D_f.

    Float64 (|D_f|,); 0 is what a model says that never saw the image. `case` must have its retrain. The difference of
    the two is LiRA's numerator with the cell's own retrain as the one reference (Carlini et al. 2022).
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

    def add(self, run: Run, case: Case, protocol: str, method: str) -> None:
        """Note one model by the labels of its protocol and method; retrains and models without a sound one are not."""
        if case.retrain is None or not case.retrain.finite or run["method"] == "retrain":
            return
        key = (run["dataset_fingerprint"], run["dataset"], run["image_size"], protocol, method)
        sums = self.totals.setdefault(key, np.zeros((2, len(case.model.forgotten))))
        where = case.model.forgotten
        sums[0, where] += excess_confidence(case)
        sums[1, where] += 1
        self.labels[run["dataset_fingerprint"]] = case.model.labels["train"]

    def worst(self, count: int) -> dict[tuple, list[Worst]]:
        """The `count` largest means by (fingerprint, dataset, image_size, protocol, method)."""
        found: dict[tuple, list[Worst]] = defaultdict(list)
        for key, (total, n) in self.totals.items():
            mean = np.where(n > 0, total / np.maximum(n, 1), -np.inf)
            for i in np.argsort(-mean, kind="stable")[: min(count, int((n > 0).sum()))]:
                found[key].append(Worst(int(i), int(self.labels[key[0]][i]), float(mean[i]), int(n[i])))
        return found


# --- pixels -----------------------------------------------------------------------------------------------


def train_images(fingerprint: str, dataset: str, image_size: int, files: Sequence[Path]) -> np.ndarray | None:
    """The train images uint8 (N, H, W, C) of the dataset with this fingerprint, or None where no file has it.

    Looked for in `files`, in MedMNIST's own folder (MEDMNIST_ROOT or ~/.medmnist), and in scikit-learn's digits.
    Raises InputError for a file of `files` that is not there or is no .npz of images.
    """
    for file in files:
        if not file.is_file():
            raise InputError(f"there is no file {file}; give the .npz file that the study ran on.")
    if dataset == "digits":
        return _digits(fingerprint)
    folder = Path(os.path.expanduser(os.environ.get("MEDMNIST_ROOT") or "~/.medmnist"))  # noqa: PTH111  never raises
    own = folder / f"{dataset}{'' if image_size == 28 else f'_{image_size}'}.npz"
    kind, _, digest = fingerprint.partition(":")
    for file in [*files, *([own] if own.is_file() else [])]:
        with file.open("rb") as opened:
            if hashlib.file_digest(opened, kind).hexdigest() == digest:
                return _read(file)
    return None


def _read(file: Path) -> np.ndarray:
    try:
        with np.load(file, allow_pickle=False) as content:
            images = np.asarray(content["train_images"])
    except (ValueError, KeyError, OSError) as error:
        raise InputError(f"{file} is no .npz file of images ({error}); give the one that the study ran on.") from None
    return images[..., None] if images.ndim == 3 else images


def _digits(fingerprint: str) -> np.ndarray | None:
    """Scikit-learn's digits in the split of the study `demo`; None if that is not what was run."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    parts = np.split(np.random.default_rng(0).permutation(len(pixels)), [1200, 1399])
    digest = hashlib.sha256()
    for part in parts:
        digest.update(pixels[part].tobytes() + digits.target[part].astype(np.int64).tobytes())
    return pixels[parts[0]] if fingerprint == f"sha256:{digest.hexdigest()}" else None
