"""Membership attacks on one evaluated model: what they compare, and how each scores an image.

A new attack is a function and one line in ATTACKS; the catalogue derives an AUC and two TPRs from it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from salun_grid.analysis.membership import Drawn, over_draws
from salun_grid.analysis.metrics import Predictions
from salun_grid.analysis.references import References, Target, lira, rmia
from salun_grid.analysis.scores import SCORES, Score, log_odds
from salun_grid.records.errors import UndefinedError

# Validation images stand for non-members: the grid keeps the last epoch, so nothing was chosen by them, and
# PathMNIST's test split comes from another centre than its train split.
NON_MEMBERS = "val"
NO_REFERENCES = "no retrain of another seed to serve as reference"
HELD_OUT = {"val": "test", "test": "val"}  # the other split is RMIA's population


Scores = tuple[np.ndarray, np.ndarray]  # of the forgotten images and of the non-members


@dataclass(frozen=True)
class Case:
    """One evaluated model, with its retrain and reference models if available."""

    model: Predictions
    retrain: Predictions | None = None
    references: References | None = None
    non_members: str = NON_MEMBERS
    _scores: dict[str, Scores] = field(default_factory=dict, init=False, repr=False, compare=False)

    def scores(self, attack: str) -> Scores:
        """The scores of one of ATTACKS for the forgotten images and the non-members; cached."""
        if attack not in self._scores:
            self._scores[attack] = ATTACKS[attack][0](self)
        return self._scores[attack]

    @cached_property
    def target(self) -> Target:
        """Logit-scaled confidences of the images that the reference attacks score."""
        p = self.model
        odds = {split: log_odds(p.logits[split], p.labels[split]) for split in p.logits}
        return Target(odds["train"][p.forgotten], *(odds[split][self.comparable(split)] for split in self._unseen))

    @cached_property
    def drawn(self) -> Drawn:
        """The paper's attack over draws of members and non-members."""
        return over_draws(self.model, self.non_members)

    @cached_property
    def comparable_references(self) -> References | None:
        """The references, with the images of `target`."""
        if self.references is None or not len(self.model.forgotten_classes):
            return self.references
        non_members, population = map(self.comparable, self._unseen)
        own = self.references
        return replace(own, non_members=own.non_members[:, non_members], population=own.population[:, population])

    @property
    def _unseen(self) -> tuple[str, str]:
        """The splits of the non-members and of RMIA's population."""
        return self.non_members, HELD_OUT[self.non_members]

    def comparable(self, split: str) -> np.ndarray:
        """Which images of a split D_f is compared with, bool (N,): where D_f is whole classes, those of its classes.

        A model without a class predicts no image of it, seen or not; other images would tell of the class alone.
        """
        classes, labels = self.model.forgotten_classes, self.model.labels[split]
        found = np.isin(labels, classes) if len(classes) else np.ones(len(labels), dtype=bool)
        if not found.any():
            raise UndefinedError(f"no {split} image of the forgotten class")
        return found


Scored = Callable[[Case], Scores]


def attack_scores(case: Case, score: Score) -> Scores:
    """A score of the forgotten images and of the non-members."""
    p, split = case.model, case.non_members
    forgotten, others = p.forgotten, case.comparable(split)
    members = score(p.logits["train"][forgotten], p.labels["train"][forgotten])
    return members, score(p.logits[split][others], p.labels[split][others])


def _threshold(score: Score) -> Scored:
    return lambda case: attack_scores(case, score)


def _with_references(attack: Callable[[Target, References], Scores]) -> Scored:
    def scores(case: Case) -> Scores:
        if case.comparable_references is None:
            raise UndefinedError(NO_REFERENCES)
        return attack(case.target, case.comparable_references)

    return scores


# Attacks with reference models: name, function and paper.
BY_REFERENCES: dict[str, tuple[Callable[[Target, References], Scores], str]] = {
    "lira": (lira, "Carlini et al. 2022, offline"),
    "rmia": (rmia, "Zarifzadeh et al. 2024, offline"),
}

# Name: how it scores the forgotten images and the non-members, and its paper. Each gives an AUC and two TPRs.
ATTACKS: dict[str, tuple[Scored, str]] = {
    "loss": (_threshold(SCORES["loss"]), "Yeom et al. 2018"),
    "confidence": (_threshold(SCORES["confidence"]), "Salem et al. 2019"),
    "entropy": (_threshold(SCORES["entropy"]), "Shokri et al. 2017"),
    "modified_entropy": (_threshold(SCORES["modified_entropy"]), "Song & Mittal 2021"),
    "margin": (_threshold(SCORES["margin"]), "Carlini et al. 2022"),
    **{name: (_with_references(attack), paper) for name, (attack, paper) in BY_REFERENCES.items()},
}
