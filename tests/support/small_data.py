"""A small data set in MedMNIST's layout."""

from pathlib import Path

import numpy as np


def write_small_npz(path: Path) -> Path:
    """120 / 30 / 40 grey images of 8 px in 3 classes that a small model can tell apart."""
    rng = np.random.default_rng(0)
    arrays = {}
    for split, count in {"train": 120, "val": 30, "test": 40}.items():
        labels = rng.integers(0, 3, count)
        noise = rng.integers(0, 120, (count, 8, 8))
        arrays[f"{split}_images"] = (noise + 60 * labels[:, None, None]).astype(np.uint8)
        arrays[f"{split}_labels"] = labels[:, None].astype(np.uint8)
    np.savez(path, **arrays)
    return path
