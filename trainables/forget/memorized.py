"""The forget rule `memorized:RATE@DIR`: the images that models remember most."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from salun_grid.records.errors import InputError, shown
from salun_grid.trainables.dataset import DatasetInfo
from salun_grid.trainables.forget.fixed import Fixed
from salun_grid.trainables.forget.random import check_forget_rate, forget_count
from salun_grid.trainables.forget.rules import Rule

MOST_OF_KNOWN = 0.5  # of the images with a score; the best of fewer would be no choice


@dataclass(frozen=True)
class Memorized(Rule):
    """The round(rate · N) train images that models which saw them predict best beyond models which did not.

    DIR is the folder of a finished study of the same images with random forget sets of several seeds: its retrains are
    the models (Feldman and Zhang 2020). The identity of the forget set is the chosen images, and the label has a hash
    of them: memorized:0.1#1a2b3c4d. The seed plays no part.
    """

    rate: float
    folder: str

    example: ClassVar[str] = "memorized:0.1@runs/paper"
    needs_labels: ClassVar[bool] = False

    @classmethod
    def parse(cls, parameter: str) -> Self:
        rate, at, folder = parameter.partition("@")
        try:
            value = float(rate)
        except ValueError:
            value = None
        if value is None or not at or not folder.strip() or not folder.isprintable():
            raise InputError(
                f"the forget set memorized:RATE@DIR needs a number and a results folder, as in {cls.example}, not "
                f"{shown(parameter)}."
            )
        return cls(check_forget_rate(value), folder)

    @property
    def written(self) -> str:
        return f"memorized:{self.rate!r}@{self.folder}"

    @property
    def public(self) -> str:
        return self.written

    def on(self, data: DatasetInfo) -> Fixed:
        from salun_grid.analysis.memorization import memorization  # SciPy and scikit-learn, for no other rule

        num_train = data.num_images["train"]
        count = forget_count(self.rate, num_train)
        scores = memorization(self.folder, data.fingerprint, data.image_size)
        known = int(np.isfinite(scores).sum())
        if count > MOST_OF_KNOWN * known:
            raise InputError(
                f"the retrains in {self.folder} include models with and without an image for only {known} of "
                f"{num_train} train images, too few to choose {count} of them; run more seeds there, or a lower rate."
            )
        chosen = np.sort(np.argsort(np.where(np.isfinite(scores), -scores, np.inf), kind="stable")[:count])
        return Fixed("memorized", repr(self.rate), tuple(chosen.tolist()), self.written, self.rate)
