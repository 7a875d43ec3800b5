"""Forget sets: which train images D_f must be forgotten; the rest of the train split is D_r."""

import numpy as np

from trainables.errors import InputError
from trainables.seeds import derived_seed


def check_forget_rate(rate: float) -> float:
    """`rate` itself, if it lies strictly between 0 and 1; InputError otherwise."""
    if not 0 < rate < 1:
        raise InputError(f"forget rate must lie between 0 and 1 (0.1 forgets 10 %), not {rate:g}.")
    return rate


def forget_count(rate: float, num_train: int) -> int:
    """|D_f| = round(rate · N), half to even. InputError where that leaves D_f or D_r empty."""
    count = round(rate * num_train)
    for empty, name in ((count == 0, "forget"), (count == num_train, "retain")):
        if empty:
            raise InputError(
                f"forget rate {rate:g} of {num_train} train images gives an empty {name} set; "
                f"choose a rate between {1 / num_train:.2g} and {1 - 1 / num_train:.2g}."
            )
    return count


def uniform_forget_set(rate: float, num_train: int, seed: int) -> np.ndarray:
    """Indices (int64, ascending) of D_f: uniform over the train split, not stratified.

    The draw is one permutation a seed, cut at |D_f|: a smaller rate's set lies within a larger one's, and
    method and augmentation play no part.
    """
    order = np.random.default_rng(derived_seed(seed, "forget")).permutation(num_train)
    return np.sort(order[: forget_count(rate, num_train)])


def retain_set(forget: np.ndarray, num_train: int) -> np.ndarray:
    """Indices (int64, ascending) of D_r = D_i − D_f."""
    return np.setdiff1d(np.arange(num_train), forget, assume_unique=True)
