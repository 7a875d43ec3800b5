"""The cost model: device-seconds of a job, fitted to published rows.

The seconds are a sum of terms, each a non-negative coefficient times a count from the job's work. The fit is least
squares on relative errors, so that short and long jobs count alike.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from salun_grid.grid.work import Work

# Penalty on a term other than the arithmetic, as a relative error of every row. Where the rows cannot disambiguate two
# terms (one model, one image size), the arithmetic takes all of it, and another size is predicted by the ratio of
# multiply-accumulates.
PREFERENCE = 0.01
FOLDS = 10


Term = Callable[[Work], float]

# The arithmetic comes first. The memory traffic of the layers is, for one stem, proportional to pixels × width.
TRAINING: dict[str, Term] = {
    "arithmetic": lambda work: work.passed_images * work.gmac,
    "values moved": lambda work: work.passed_images * work.megapixels * work.width,
    "steps": lambda work: work.train_images / work.batch_size,
    "crop and flip": lambda work: work.train_images * work.megapixels * (work.augmentation != "none"),
    "RandAugment": lambda work: work.train_images * work.megapixels * work.augmentation.endswith("+ra"),
    "RandAugment's calls": lambda work: work.train_images / work.batch_size * work.augmentation.endswith("+ra"),
}
EVALUATION: dict[str, Term] = {
    "arithmetic": lambda work: work.eval_images * work.gmac,
    "values moved": lambda work: work.eval_images * work.megapixels * work.width,
    "membership attack": lambda work: work.attack_pairs,
    "each job": lambda work: work.eval_images > 0,
}


@dataclass(frozen=True)
class Measurement:
    """The work and the device-seconds of one row; a phase that the row lacks or that cannot be predicted has 0."""

    device: str
    work: Work
    seconds_training: float
    seconds_evaluation: float

    @property
    def seconds(self) -> float:
        return self.seconds_training + self.seconds_evaluation


@dataclass(frozen=True)
class Rates:
    """Seconds per unit of each term, in the order of TRAINING and EVALUATION."""

    training: np.ndarray
    evaluation: np.ndarray

    def seconds(self, works: Sequence[Work]) -> np.ndarray:
        """Predicted device-seconds of each work, float64 (N,)."""
        return columns(TRAINING, works) @ self.training + columns(EVALUATION, works) @ self.evaluation


def fit(rows: Sequence[Measurement]) -> Rates:
    """Rates of one device and one kind of work, fitted to `rows`."""
    return Rates(
        _coefficients(TRAINING, rows, np.array([row.seconds_training for row in rows])),
        _coefficients(EVALUATION, rows, np.array([row.seconds_evaluation for row in rows])),
    )


def columns(terms: dict[str, Term], works: Sequence[Work]) -> np.ndarray:
    """The value of each term for each work, float64 (N, terms)."""
    return np.array([[term(work) for term in terms.values()] for work in works], dtype=np.float64)


def _coefficients(terms: dict[str, Term], rows: Sequence[Measurement], seconds: np.ndarray) -> np.ndarray:
    """Non-negative least squares on relative errors over the rows with seconds; all 0 if there are none."""
    from scipy.optimize import nnls  # the import takes a quarter of a second

    used = seconds > 0
    if not used.any():
        return np.zeros(len(terms))
    shares = columns(terms, [row.work for row in rows])[used] / seconds[used, None]
    scale = shares.mean(axis=0)
    scale[scale == 0] = 1.0
    preference = PREFERENCE * np.sqrt(used.sum()) * np.eye(len(terms))[1:]
    matrix = np.vstack([shares / scale, preference])
    target = np.concatenate([np.ones(used.sum()), np.zeros(len(preference))])
    return nnls(matrix, target)[0] / scale


def held_out(rows: Sequence[Measurement], groups: Sequence[Hashable]) -> np.ndarray:
    """Predicted over measured seconds of each row, with rates fitted only to the rows of the other groups."""
    ratios = np.empty(len(rows))
    for group in set(groups):
        others = [row for row, own in zip(rows, groups, strict=True) if own != group]
        rates = fit(others)
        for index, row in enumerate(rows):
            if groups[index] == group:
                ratios[index] = rates.seconds([row.work])[0] / row.seconds
    return ratios


def random_groups(num_rows: int, seed: int = 0) -> list[int]:
    """The group of each row: FOLDS random groups of equal size, up to one; fewer rows are each a group."""
    return [int(rank) % FOLDS for rank in np.random.default_rng(seed).permutation(num_rows)]
