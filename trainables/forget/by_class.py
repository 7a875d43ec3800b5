"""The forget rule `class:K`: a whole class."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from salun_grid.records.errors import InputError, shown
from salun_grid.trainables.data import DatasetInfo


@dataclass(frozen=True)
class ByClass:
    """Every train image of class K, counted from 0, for any seed.

    The model keeps its output for the class, so UA of a retrain is near 100, and TA includes the forgotten class.
    """

    k: int

    example: ClassVar[str] = "class:3"
    seeded: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = True

    @classmethod
    def parse(cls, parameter: str) -> Self:
        if not (parameter.isascii() and parameter.isdigit() and len(parameter) <= 4):
            raise InputError(f"the forget set class:K needs a class number, as in class:3, not {shown(parameter)}.")
        return cls(int(parameter))

    @property
    def label(self) -> str:
        return f"class:{self.k}"

    def count(self, data: DatasetInfo) -> int:
        if self.k >= data.num_classes:
            last = data.num_classes - 1
            raise InputError(
                f"{data.source} has the classes 0 to {last}; the forget set {self.label} is not one of them."
            )
        count = data.class_counts[self.k]
        if count in (0, data.num_images["train"]):
            which = "no" if count == 0 else "every"
            raise InputError(f"the forget set {self.label} has {which} train image of {data.source}; choose another.")
        return count

    def same_on(self, data: DatasetInfo) -> Hashable:
        return self.k

    def indices(self, labels: np.ndarray, seed: int) -> np.ndarray:
        return np.flatnonzero(labels == self.k)
