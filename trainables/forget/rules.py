"""What a forget rule is."""

from collections.abc import Hashable
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from salun_grid.trainables.data import DatasetInfo


class Rule(Protocol):
    """Which train images D_f are forgotten. A rule is a frozen dataclass of its parameters.

    `example` is how the rule is written. `seeded` says whether D_f varies with the seed, `needs_labels` whether |D_f|
    depends on the labels, which `DatasetInfo.class_counts` then holds.
    """

    example: ClassVar[str]
    seeded: ClassVar[bool]
    needs_labels: ClassVar[bool]

    @classmethod
    def parse(cls, parameter: str) -> Self:
        """The rule from what follows its name and a colon. Raises InputError."""

    @property
    def label(self) -> str:
        """The rule as a study and the column `forget` write it: `random:0.1`."""

    def count(self, data: DatasetInfo) -> int:
        """|D_f|, without the pixels. Raises InputError where D_f or D_r would be empty."""

    def same_on(self, data: DatasetInfo) -> Hashable:
        """Equal for two sets of this rule that hold the same images of `data` whatever the seed."""

    def indices(self, labels: np.ndarray, seed: int) -> np.ndarray:
        """Train indices of D_f, int64, ascending; `labels` int64 (N,) are those of the train split."""


def rate_of(rule: Rule) -> float | None:
    """|D_f| / N where that is the rule's parameter, else None."""
    rate: Any = getattr(rule, "rate", None)
    return rate
