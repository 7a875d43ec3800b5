"""The forget rule `class:K`: whole classes."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from salun_grid.records.errors import InputError, shown, unknown_choice
from salun_grid.trainables.dataset import DatasetInfo, TrainImages
from salun_grid.trainables.forget.rules import DirectRule


@dataclass(frozen=True)
class ByClass(DirectRule):
    """Every train image of class K, counted from 0, for any seed; class:K,K2 takes several.

    A name of the dataset stands for its number, as in class:melanoma. The model keeps its output for the class, so UA
    of a retrain is near 100, and TA includes the forgotten class; the metric `ta_forgotten` is the accuracy on its test
    images alone.
    """

    classes: tuple[int | str, ...]

    example: ClassVar[str] = "class:3"
    seeded: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = True

    @classmethod
    def parse(cls, parameter: str) -> Self:
        parts = parameter.split(",")
        for part in parts:
            if not part or not part.isprintable() or part != part.strip():
                raise InputError(
                    f"the forget set class:K needs a class number or name, as in class:3, not {shown(parameter)}."
                )
        return cls(tuple(int(part) if _is_number(part) else part for part in parts))

    @property
    def label(self) -> str:
        return f"class:{','.join(map(str, self.classes))}"

    def on(self, data: DatasetInfo) -> "ByClass":
        """The rule with the numbers of its classes, ascending."""
        return ByClass(tuple(sorted({_number(name, data) for name in self.classes})))

    def count(self, data: DatasetInfo, seed: int) -> int:
        counts = [data.class_counts[_number(name, data)] for name in self.classes]
        if 0 in counts or sum(counts) == data.num_images["train"]:
            which = "no" if 0 in counts else "every"
            raise InputError(f"the forget set {self.label} has {which} train image of {data.source}; choose another.")
        return sum(counts)

    def same_on(self, data: DatasetInfo) -> Hashable:
        return self.classes

    def indices(self, train: TrainImages, seed: int) -> np.ndarray:
        return np.flatnonzero(np.isin(train.labels, self.classes))


def _is_number(part: str) -> bool:
    return part.isascii() and part.isdigit() and len(part) <= 4


def _number(name: int | str, data: DatasetInfo) -> int:
    if isinstance(name, int):
        if name >= data.num_classes:
            last = data.num_classes - 1
            raise InputError(
                f"{data.source} has the classes 0 to {last}; the forget set class:{name} is not one of them."
            )
        return name
    if not data.class_names:
        raise InputError(
            f"{data.source} names no classes; give the number of a class, as in class:3, not {shown(name)}."
        )
    if name not in data.class_names:
        raise unknown_choice(f"class of {data.source}", name, list(data.class_names))
    return data.class_names.index(name)
