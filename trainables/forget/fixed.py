"""Train images that were chosen when the study was planned: the selection of `group:ID`, `ids` and `memorized`."""

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np

from salun_grid.records.errors import InputError
from salun_grid.trainables.data import train_labels
from salun_grid.trainables.dataset import DatasetInfo, TrainImages


@dataclass(frozen=True)
class Fixed:
    """The train images `chosen`, ascending, for any seed; `rule` and `name` are for the label, `text` for commands.

    Neither contains an id of the data. The images alone are the identity, however they were named.
    """

    rule: str
    name: str
    chosen: tuple[int, ...]
    text: str = field(default="", compare=False)
    rate: float | None = None

    seeded: ClassVar[bool] = False

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the indices, hexadecimal."""
        return hashlib.sha256(np.array(self.chosen, dtype="<i8").tobytes()).hexdigest()

    @property
    def label(self) -> str:
        return f"{self.rule}:{self.name}#{self.digest[:8]}"

    @property
    def identity(self) -> str:
        return f"images#{self.digest[:20]}"

    def count(self, data: DatasetInfo, seed: int) -> int:
        return len(self.chosen)

    def same_on(self, data: DatasetInfo) -> Hashable:
        return self.chosen

    def indices(self, train: TrainImages, seed: int) -> np.ndarray:
        return np.array(self.chosen, dtype=np.int64)


def requested(rule: str, name: str, chosen: np.ndarray, data: DatasetInfo, public: str) -> Fixed:
    """The selection of a request. Raises InputError if no image of some class would remain."""
    indices = np.unique(chosen)
    labels = train_labels(data)
    asked, there = (np.bincount(some, minlength=data.num_classes) for some in (labels[indices], labels))
    whole = np.flatnonzero((asked == there) & (there > 0))
    if len(whole):
        raise InputError(
            f"the forget set {public} has every train image of class {whole[0]} of {data.source}; keep one of them, or "
            f"forget the class with class:{whole[0]}."
        )
    return Fixed(rule, name, tuple(indices.tolist()), public)
