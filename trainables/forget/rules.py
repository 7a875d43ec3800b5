"""The interface of a forget rule, and of the images that it selects on a dataset."""

from collections.abc import Hashable
from typing import Any, ClassVar, Protocol

import numpy as np

from salun_grid.trainables.dataset import DatasetInfo, TrainImages


class Selection(Protocol):
    """Train images D_f of one dataset; a frozen dataclass. `seeded` says whether D_f varies with the seed."""

    @property
    def seeded(self) -> bool: ...

    @property
    def label(self) -> str:
        """The value of the column `forget`, without any id of the data: `random:0.1`."""
        ...

    @property
    def identity(self) -> str:
        """What determines D_f on its dataset, except for the seed; part of a key."""
        ...

    @property
    def text(self) -> str:
        """The parameter of --forget that selects D_f again, without any id of the data."""
        ...

    def count(self, data: DatasetInfo, seed: int) -> int:
        """|D_f|, without the pixels. Raises InputError if D_f or D_r would be empty."""
        ...

    def same_on(self, data: DatasetInfo) -> Hashable:
        """A value that is equal for two selections of one type with the same images of `data` for every seed."""
        ...

    def indices(self, train: TrainImages, seed: int) -> np.ndarray:
        """Train indices of D_f, int64, ascending."""
        ...


class Rule(Protocol):
    """Selects the train images D_f to forget; a frozen dataclass of the rule's parameters.

    `example` shows how the rule is written. `needs_labels` says whether |D_f| depends on the labels and needs
    `DatasetInfo.class_counts`.
    """

    example: ClassVar[str]
    needs_labels: ClassVar[bool]

    @classmethod
    def parse(cls, parameter: str) -> "Rule":
        """The rule from the text after `NAME:`. Reads no file. Raises InputError for a bad parameter."""
        ...

    @property
    def written(self) -> str:
        """The rule as written in a study: `random:0.1`, `ids:request.csv`."""
        ...

    @property
    def public(self) -> str:
        """`written`, with ID for each id of the data."""
        ...

    def on(self, data: DatasetInfo) -> Selection:
        """What the rule selects on `data`. Raises InputError if that is not there."""
        ...


class DirectRule(Rule, Selection, Protocol):
    """A rule that selects by its own parameters: how it is written is also its label and identity."""

    @property
    def identity(self) -> str:
        return self.label

    @property
    def text(self) -> str:
        return self.label

    @property
    def written(self) -> str:
        return self.label

    @property
    def public(self) -> str:
        return self.label

    def on(self, data: DatasetInfo) -> Selection:
        return self


def rate_of(selection: Selection) -> float | None:
    """|D_f| / N if that is the rule's parameter, else None."""
    rate: Any = getattr(selection, "rate", None)
    return rate
