"""Forget sets: which train images D_f must be forgotten; the rest of the train split is D_r.

A rule is a frozen dataclass and one line in FORGET_RULES; it is written `random:0.1`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from trainables.data import DatasetInfo
from trainables.errors import InputError, unknown_choice
from trainables.seeds import derived_seed


class Rule(Protocol):
    """What a forget rule offers. `seeded` says whether D_f varies with the seed."""

    seeded: ClassVar[bool]

    @property
    def rate(self) -> float | None:
        """|D_f| / N where that is the rule's parameter."""

    @property
    def label(self) -> str:
        """How it is written, `random:0.1`."""

    @property
    def short(self) -> str:
        """For tables and progress, `10%`."""

    @property
    def sort_key(self) -> tuple[Any, ...]:
        """Where it comes among the sets of its rule."""

    def count(self, data: DatasetInfo) -> int:
        """|D_f|, without the pixels. Raises InputError where D_f or D_r would be empty."""

    def indices(self, labels: np.ndarray, seed: int) -> np.ndarray:
        """Train indices of D_f, int64, ascending; `labels` int64 (N,) are those of the train split."""


@dataclass(frozen=True)
class Random:
    """round(rate · N) of the train split, uniform, not stratified (the paper, and SalUn's code).

    The draw is one permutation a seed, cut at |D_f|: a smaller rate's set lies within a larger one's, and method and
    augmentation play no part.
    """

    rate: float

    seeded: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_forget_rate(self.rate)

    @classmethod
    def parse(cls, text: str) -> "Random":
        try:
            return cls(float(text))
        except ValueError:
            raise InputError(f"random:{text} is no forget set; write a rate, as in random:0.1.") from None

    @property
    def label(self) -> str:
        return f"random:{self.rate!r}"

    @property
    def short(self) -> str:
        return f"{100 * self.rate:g}%"

    @property
    def sort_key(self) -> tuple[Any, ...]:
        return (self.rate,)

    def count(self, data: DatasetInfo) -> int:
        return forget_count(self.rate, data.num_images["train"])

    def indices(self, labels: np.ndarray, seed: int) -> np.ndarray:
        return uniform_forget_set(self.rate, len(labels), seed)


FORGET_RULES: dict[str, Callable[[str], Rule]] = {"random": Random.parse}


def parse_rule(text: str) -> Rule:
    """The rule that `text`, such as `random:0.1`, names. Raises InputError for an unknown rule or parameter."""
    name, colon, parameter = text.partition(":")
    if name not in FORGET_RULES:
        raise unknown_choice("forget rule", name, list(FORGET_RULES))
    if not colon:
        raise InputError(f"the forget set {text!r} needs a parameter, as in random:0.1.")
    return FORGET_RULES[name](parameter)


@dataclass(frozen=True)
class ForgetSet:
    """A rule and the seed that it draws with."""

    rule: Rule
    seed: int

    @property
    def identity(self) -> list[Any]:
        """What decides D_f, for a key."""
        return [self.rule.label, self.seed] if self.rule.seeded else [self.rule.label]

    @property
    def short(self) -> str:
        return self.rule.short

    def count(self, data: DatasetInfo) -> int:
        """|D_f|; see `Rule.count`."""
        return self.rule.count(data)

    def indices(self, labels: np.ndarray) -> np.ndarray:
        """Train indices of D_f, int64, ascending."""
        return self.rule.indices(labels, self.seed)


def check_forget_rate(rate: float) -> float:
    """`rate` itself, if it lies strictly between 0 and 1; InputError otherwise."""
    if not 0 < rate < 1:
        raise InputError(f"forget rate must lie between 0 and 1 (0.1 forgets 10 %), not {rate:g}.")
    return rate


def forget_count(rate: float, num_train: int) -> int:
    """|D_f| = round(rate · N), half to even. InputError where that leaves D_f or D_r empty."""
    count = round(rate * num_train)
    if num_train < 2:
        raise InputError(f"a forget set and a retain set need two train images or more, not {num_train}.")
    for empty, name in ((count == 0, "forget"), (count == num_train, "retain")):
        if empty:
            raise InputError(
                f"forget rate {rate:g} of {num_train} train images gives an empty {name} set; "
                f"choose a rate between {0.5 / num_train:.2g} and {1 - 0.5 / num_train:.2g}."
            )
    return count


def uniform_forget_set(rate: float, num_train: int, seed: int) -> np.ndarray:
    """Indices (int64, ascending) of D_f: uniform over the train split, not stratified."""
    order = np.random.default_rng(derived_seed(seed, "forget")).permutation(num_train)
    return np.sort(order[: forget_count(rate, num_train)])


def retain_set(forget: np.ndarray, num_train: int) -> np.ndarray:
    """Indices (int64, ascending) of D_r = D_i − D_f."""
    return np.setdiff1d(np.arange(num_train), forget, assume_unique=True)
