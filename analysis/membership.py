"""The paper's membership attack, averaged over many draws of members and non-members, and whether it tells anything."""

from dataclasses import dataclass

import numpy as np

from salun_grid.analysis.metrics import Attack, Predictions, attack_confidences
from salun_grid.analysis.svc import features, fit
from salun_grid.records.errors import UndefinedError

DRAWS = 20
SVC_C = Attack.svc_c
CHANCE_LEVEL = 0.05
MAX_SD_POINTS = 10.0


@dataclass(frozen=True)
class Drawn:
    """MIA over draws, in percent: mean, sample standard deviation, and the attack's accuracy on what it was fitted to.

    Each draw has `n` members and as many non-members; `accuracy` is the mean over draws.
    """

    mean: float
    sd: float
    accuracy: float
    n: int

    @property
    def informative(self) -> bool:
        """Whether the accuracy is above chance, and the standard deviation over draws at most MAX_SD_POINTS.

        Above chance: an exact one-sided binomial test at CHANCE_LEVEL on the 2n images of a draw. The kernel is too
        wide to fit single images, so the fitted images serve. Where a model generalises, the attack fails the test, its
        threshold falls anywhere, and MIA with it.
        """
        from scipy.stats import binom

        num = 2 * self.n
        by_chance = binom.sf(round(self.accuracy / 100 * num) - 1, num, 0.5)
        return bool(by_chance <= CHANCE_LEVEL) and self.sd <= MAX_SD_POINTS


def over_draws(predictions: Predictions, split: str, draws: int = DRAWS, seed: int = 0) -> Drawn:
    """The attack over `draws` seeded draws of n members of D_r and n images of `split`, n the smaller group's size.

    Each draw has the attack of `metrics.membership_inference` with balanced members, solved to convergence. LIBSVM
    stops at a tolerance of 1e-3, which moves its decision values by up to 0.03, and the labels of images whose decision
    is nearer to 0. Raises UndefinedError without images to draw from.
    """
    members, others, forgotten = map(features, attack_confidences(predictions, split))
    n = min(len(members), len(others))
    if not n:
        raise UndefinedError("no image to draw members or non-members from")
    rng, is_member = np.random.default_rng(seed), np.repeat([True, False], n)
    values, accuracies = [], []
    for _ in range(draws):
        drawn = np.concatenate([members[rng.permutation(len(members))[:n]], others[rng.permutation(len(others))[:n]]])
        decision = fit(drawn, is_member, SVC_C)
        values.append(100 * float(np.mean(~decision.is_member(forgotten))))
        accuracies.append(100 * float(np.mean(decision.is_member(drawn) == is_member)))
    return Drawn(float(np.mean(values)), float(np.std(values, ddof=1)), float(np.mean(accuracies)), n)
