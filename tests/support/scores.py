"""Logits to score."""

import numpy as np


def some_logits(seed: int, n: int = 30, k: int = 5, scale: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(0, scale, (n, k)).astype(np.float32), rng.integers(0, k, n)
