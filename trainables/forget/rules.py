"""The interface of a forget rule."""

from collections.abc import Hashable
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from salun_grid.trainables.data import DatasetInfo


class Rule(Protocol):
    """Selects the train images D_f to forget; a frozen dataclass of the rule's parameters.

    `example` shows how the rule is written. `seeded` says whether D_f varies with the seed, `needs_labels` whether
    |D_f| depends on the labels and needs `DatasetInfo.class_counts`.
    """

    example: ClassVar[str]
    seeded: ClassVar[bool]
    needs_labels: ClassVar[bool]

    @classmethod
    def parse(cls, parameter: str) -> Self:
        """The rule from the text after `NAME:`. Raises InputError for a bad parameter."""

    @property
    def label(self) -> str:
        """The rule as written in a study and in the column `forget`: `random:0.1`."""

    def count(self, data: DatasetInfo) -> int:
        """|D_f|, without the pixels. Raises InputError if D_f or D_r would be empty."""

    def same_on(self, data: DatasetInfo) -> Hashable:
        """A value that is equal for two sets of this rule with the same images of `data` for every seed."""

    def indices(self, labels: np.ndarray, seed: int) -> np.ndarray:
        """Train indices of D_f, int64, ascending; `labels` int64 (N,) are the train labels."""


def rate_of(rule: Rule) -> float | None:
    """|D_f| / N if that is the rule's parameter, else None."""
    rate: Any = getattr(rule, "rate", None)
    return rate
