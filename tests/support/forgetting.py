"""Data with ids, groups and class names, and all that each forget rule needs to select from it."""

from pathlib import Path

import numpy as np

from salun_grid.analysis.metrics import Predictions
from tests.support.folders import make_grid, write_folder, write_predictions

COUNTS = {"train": 60, "val": 20, "test": 24}
CLASS_NAMES = ("naevus", "melanoma", "keratosis")
# Every way to write each rule; the files are those of `write_everything`.
WRITTEN = {
    "random": ("random:0.1", "random:0.5"),
    "class": ("class:1", "class:0,2", "class:melanoma"),
    "group": ("group:0.2", "group:0.5", "group:p3", "group:p3,p7"),
    "ids": ("ids:by_id.csv", "ids:by_index.csv", "ids:by_group.csv"),
    "memorized": ("memorized:0.1@models",),
}


def grouped_arrays(seed: int = 0) -> dict[str, np.ndarray]:
    """Grey 8 px images in 3 classes; 15 groups of 4 train images; the held-out splits have groups of their own."""
    rng = np.random.default_rng(seed)
    arrays = {"class_names": np.array(CLASS_NAMES)}
    for split, count in COUNTS.items():
        labels = np.arange(count) % 3
        arrays[f"{split}_images"] = (rng.integers(0, 120, (count, 8, 8)) + 60 * labels[:, None, None]).astype(np.uint8)
        arrays[f"{split}_labels"] = labels
        arrays[f"{split}_ids"] = np.array([f"{split}-{i:03}" for i in range(count)])
        prefix = {"train": "p", "val": "v", "test": "t"}[split]
        arrays[f"{split}_groups"] = np.array([f"{prefix}{i // 4}" for i in rng.permutation(count)])
    return arrays


def write_grouped_npz(path: Path, **changes: np.ndarray | None) -> Path:
    """The file of `grouped_arrays`; `changes` replaces arrays by name, None leaves one out."""
    content = {name: array for name, array in {**grouped_arrays(), **changes}.items() if array is not None}
    np.savez(path, **content)
    return path


def write_everything(folder: Path, fingerprint: str) -> None:
    """The lists and the results folder that the rules of WRITTEN name, into `folder`."""
    groups = grouped_arrays()["train_groups"]
    (folder / "by_id.csv").write_text("id,reason\ntrain-004,withdrawn\ntrain-017,\ntrain-031,\n")
    (folder / "by_index.csv").write_text("index\n31\n4\n17\n4\n")
    (folder / "by_group.csv").write_text(f"date,group\n2026-01-02,{groups[0]}\n2026-01-03,p9\n")
    write_models(folder / "models", fingerprint)


def write_models(folder: Path, fingerprint: str, seeds: int = 6, rate: float = 0.5) -> np.ndarray:
    """Retrains of random forget sets that know image i, if they saw it, the better the higher i; others do not.

    Returns which images each of them forgot, bool (seeds, N).
    """
    labels = {split: np.arange(count) % 3 for split, count in COUNTS.items()}
    runs = make_grid(
        datasets=("grouped",),
        rates=(rate,),
        seeds=tuple(range(seeds)),
        methods=("retrain",),
        dataset_fingerprint=fingerprint,
        image_size=8,
        num_forget=round(rate * COUNTS["train"]),
        num_retain=COUNTS["train"] - round(rate * COUNTS["train"]),
    )
    write_folder(folder, runs)
    rng, forgot = np.random.default_rng(1), []
    for run in runs:
        forgotten = np.zeros(COUNTS["train"], dtype=bool)
        forgotten[rng.permutation(COUNTS["train"])[: run["num_forget"]]] = True
        logits = {split: np.zeros((count, 3), dtype=np.float32) for split, count in COUNTS.items()}
        known = np.where(forgotten, 0.0, np.arange(COUNTS["train"]) / 10)
        logits["train"][np.arange(COUNTS["train"]), labels["train"]] = known
        write_predictions(folder, run["job_key"], Predictions(logits, labels, forgotten))
        forgot.append(forgotten)
    return np.array(forgot)
