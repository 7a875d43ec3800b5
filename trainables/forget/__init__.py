"""Forget sets: the train images D_f to forget; the rest of the train split is D_r.

A rule is a frozen dataclass in a module of this package, with an entry in FORGET_RULES. A forget set is written
`RULE:PARAMETER`, such as `random:0.1`. `Rule.on` gives what it selects on a dataset.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from salun_grid.records.errors import InputError, shown, unknown_choice
from salun_grid.trainables.dataset import DatasetInfo, TrainImages
from salun_grid.trainables.forget.by_class import ByClass
from salun_grid.trainables.forget.by_group import GroupShare
from salun_grid.trainables.forget.ids import Ids
from salun_grid.trainables.forget.memorized import Memorized
from salun_grid.trainables.forget.random import Random, check_forget_rate, forget_count, uniform_forget_set
from salun_grid.trainables.forget.rules import Rule, Selection, rate_of

__all__ = [
    "FORGET_RULES",
    "ForgetSet",
    "Random",
    "Rule",
    "Selection",
    "check_forget_rate",
    "forget_count",
    "parse_rule",
    "rate_of",
    "retain_set",
    "uniform_forget_set",
]

FORGET_RULES: dict[str, type[Rule]] = {
    "random": Random,
    "class": ByClass,
    "group": GroupShare,
    "ids": Ids,
    "memorized": Memorized,
}


def parse_rule(text: str) -> Rule:
    """The rule written as `text`, such as `random:0.1`. Raises InputError for an unknown rule or parameter."""
    name, colon, parameter = text.partition(":")
    if name not in FORGET_RULES:
        raise unknown_choice("forget rule", name, list(FORGET_RULES))
    rule = FORGET_RULES[name]
    if not colon:
        raise InputError(f"the forget set {shown(text)} needs a parameter, as in {rule.example}.")
    return rule.parse(parameter)


@dataclass(frozen=True)
class ForgetSet:
    """What a rule selects on a dataset, and the seed of its draw."""

    rule: Selection
    seed: int

    @property
    def identity(self) -> list[Any]:
        """The part of a key that determines D_f."""
        return [self.rule.identity, self.seed] if self.rule.seeded else [self.rule.identity]

    @property
    def label(self) -> str:
        """The value of the column `forget`; see `Selection.label`."""
        return self.rule.label

    def count(self, data: DatasetInfo) -> int:
        """|D_f|; see `Selection.count`."""
        return self.rule.count(data, self.seed)

    def indices(self, train: TrainImages) -> np.ndarray:
        """Train indices of D_f, int64, ascending."""
        return self.rule.indices(train, self.seed)


def retain_set(forget: np.ndarray, num_train: int) -> np.ndarray:
    """Indices (int64, ascending) of D_r = D_i − D_f."""
    return np.setdiff1d(np.arange(num_train), forget, assume_unique=True)
