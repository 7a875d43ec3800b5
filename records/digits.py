"""Scikit-learn's handwritten digits as a dataset: no download, and no file."""

from functools import cache

import numpy as np

from salun_grid.records.npz import SPLITS, Arrays, fingerprint_of


@cache
def read_digits() -> tuple[str, Arrays, Arrays]:
    """Fingerprint, images (uint8, (N, 8, 8, 1)) and labels (int64, (N,)) by split: 1,200 / 199 / 398 digits."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    order = np.random.default_rng(0).permutation(len(pixels))
    parts = dict(zip(SPLITS, np.split(order, [1200, 1399]), strict=True))
    images = {split: pixels[part] for split, part in parts.items()}
    labels = {split: digits.target[part].astype(np.int64) for split, part in parts.items()}
    return fingerprint_of(images, labels), images, labels
