"""The forget rule `random:RATE`: a uniform draw from the train split."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from salun_grid.records.errors import InputError, shown
from salun_grid.trainables.dataset import DatasetInfo, TrainImages
from salun_grid.trainables.forget.rules import DirectRule
from salun_grid.trainables.seeds import derived_seed


@dataclass(frozen=True)
class Random(DirectRule):
    """A uniform, unstratified draw of round(rate · N) train images (the paper, and SalUn's code).

    It is a prefix of one permutation per seed, so the set of a smaller rate is a subset of that of a larger one, and
    does not depend on method or augmentation.
    """

    rate: float

    example: ClassVar[str] = "random:0.1"
    seeded: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_forget_rate(self.rate)

    @classmethod
    def parse(cls, parameter: str) -> Self:
        try:
            rate = float(parameter)
        except ValueError:
            raise InputError(
                f"the forget set random:RATE needs a number, as in {cls.example}, not {shown(parameter)}."
            ) from None
        return cls(rate)

    @property
    def label(self) -> str:
        return f"random:{self.rate!r}"

    def count(self, data: DatasetInfo, seed: int) -> int:
        return forget_count(self.rate, data.num_images["train"])

    def same_on(self, data: DatasetInfo) -> Hashable:
        return forget_count(self.rate, data.num_images["train"])

    def indices(self, train: TrainImages, seed: int) -> np.ndarray:
        return uniform_forget_set(self.rate, len(train.labels), seed)


def check_forget_rate(rate: float) -> float:
    """Return `rate`. Raises InputError unless it is strictly between 0 and 1."""
    if not 0 < rate < 1:
        raise InputError(f"forget rate must lie between 0 and 1 (0.1 forgets 10 %), not {rate:g}.")
    return rate


def forget_count(rate: float, num_train: int, what: str = "train images") -> int:
    """|D_f| = round(rate · N), half to even. Raises InputError if D_f or D_r would be empty; `what` N counts."""
    count = round(rate * num_train)
    if num_train < 2:
        raise InputError(f"a forget set and a retain set need at least two {what}, not {num_train}.")
    for empty, name in ((count == 0, "forget"), (count == num_train, "retain")):
        if empty:
            raise InputError(
                f"forget rate {rate:g} of {num_train} {what} gives an empty {name} set; "
                f"choose a rate between {0.5 / num_train:.2g} and {1 - 0.5 / num_train:.2g}."
            )
    return count


def uniform_forget_set(rate: float, num_train: int, seed: int) -> np.ndarray:
    """Indices (int64, ascending) of D_f: uniform over the train split, not stratified."""
    order = np.random.default_rng(derived_seed(seed, "forget")).permutation(num_train)
    return np.sort(order[: forget_count(rate, num_train)])
