"""The paper's membership attack over many draws of members: exact, and cheap because its feature is one number.

The attack is a support vector machine with an RBF kernel on one probability in [0, 1]. There, exp(−(x − y)²) is a sum
of products of TERMS functions of x and y to within 1e-15, so the dual problem has that rank, and an interior-point
method solves it in time linear in the number of images (Ferris & Munson 2002). The kernel matrix is never formed.
"""

import math
from dataclasses import dataclass

import numpy as np

from salun_grid.analysis.metrics import Predictions, true_class_probability
from salun_grid.records.errors import UndefinedError

DRAWS = 20
TERMS = 16
TOLERANCE = 1e-10  # of the complementarity, relative to C
MOST_STEPS = 200
STEP_SHARE = 0.99  # of the way to the nearest bound
SVC_C = 3.0
NORMAL_95 = 1.6449  # quantile of the standard normal distribution


@dataclass(frozen=True)
class Drawn:
    """MIA over draws, in percent: mean, sample standard deviation, and the attack's accuracy on what it was fitted to.

    Each draw has `n` members and as many non-members.
    """

    mean: float
    sd: float
    accuracy: float
    n: int

    @property
    def informative(self) -> bool:
        """Whether the accuracy is above chance, by a one-sided binomial test at 5 % on the 2n images of a draw.

        Where a model generalises it is not: the threshold falls anywhere, and MIA with it. The accuracy is that on the
        fitted images, so an attack that fails here certainly fails on others.
        """
        return self.accuracy / 100 > 0.5 + NORMAL_95 * 0.5 / math.sqrt(2 * self.n)


def features(x: np.ndarray) -> np.ndarray:
    """Φ (N, TERMS) with Φ(x) · Φ(y) = exp(−(x − y)²) for x and y in [0, 1], by the series of exp(2xy) around ½."""
    centred = x.astype(np.float64)[:, None] - 0.5
    orders = np.arange(TERMS)
    scales = np.sqrt([2.0**k / math.factorial(k) for k in orders])
    return np.exp(-(centred**2)) * scales * centred**orders


def fit(x: np.ndarray, is_member: np.ndarray, c: float = SVC_C) -> tuple[np.ndarray, float]:
    """Weights (TERMS,) and intercept of the SVC of scikit-learn (RBF, gamma 1) that is fitted to `x` and `is_member`.

    Its decision on y is features(y) @ weights + intercept, positive for a member. Raises UndefinedError where the
    interior-point method does not converge.
    """
    sign = np.where(is_member, 1.0, -1.0)
    rows = features(x) * sign[:, None]
    alpha = np.full(len(x), c / 2)
    lower, upper = np.ones(len(x)), np.ones(len(x))
    intercept = 0.0
    for _ in range(MOST_STEPS):
        dual = 1 - rows @ (rows.T @ alpha) - intercept * sign + lower - upper
        primal = -float(sign @ alpha)
        gap = float(alpha @ lower + (c - alpha) @ upper) / (2 * len(x))
        if gap < TOLERANCE * c and np.abs(dual).max() < 1e-7 and abs(primal) < 1e-7:
            weights = rows.T @ alpha
            return weights, _intercept(sign - sign * (rows @ weights), sign, alpha < lower, c - alpha < upper)
        target = 0.1 * gap
        to_lower, to_upper = target / alpha - lower, target / (c - alpha) - upper
        diagonal = lower / alpha + upper / (c - alpha)
        right = dual + to_lower - to_upper
        solved = _solve(rows, diagonal, np.column_stack([right, sign]))
        step_intercept = (float(sign @ solved[:, 0]) - primal) / float(sign @ solved[:, 1])
        step = solved[:, 0] - step_intercept * solved[:, 1]
        step_lower, step_upper = to_lower - lower / alpha * step, to_upper + upper / (c - alpha) * step
        size = STEP_SHARE * min(
            1 / STEP_SHARE,
            *(_room(*pair) for pair in ((alpha, step), (c - alpha, -step), (lower, step_lower), (upper, step_upper))),
        )
        alpha, intercept = alpha + size * step, intercept + size * step_intercept
        lower, upper = lower + size * step_lower, upper + size * step_upper
    raise UndefinedError("the membership attack's fit did not converge")


def _intercept(errors: np.ndarray, sign: np.ndarray, at_zero: np.ndarray, at_c: np.ndarray) -> float:
    """The intercept as LIBSVM chooses it: the mean over free images, or the middle of what is allowed without any.

    `errors` is the label ±1 minus the decision without intercept.
    """
    free = ~(at_zero | at_c)
    if free.any():
        return float(errors[free].mean())
    above = (at_c & (sign < 0)) | (at_zero & (sign > 0))
    return float((errors[above].max() + errors[~above].min()) / 2)


def _solve(rows: np.ndarray, diagonal: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(diag + rows rowsᵀ)⁻¹ right, by Woodbury's identity."""
    scaled = rows / diagonal[:, None]
    inner = np.eye(rows.shape[1]) + rows.T @ scaled
    plain = right / diagonal[:, None]
    return plain - scaled @ np.linalg.solve(inner, rows.T @ plain)


def _room(values: np.ndarray, steps: np.ndarray) -> float:
    """The largest multiple of `steps` that keeps `values` from falling below 0."""
    falling = steps < 0
    return float((values[falling] / -steps[falling]).min()) if falling.any() else math.inf


def over_draws(
    predictions: Predictions, non_members: np.ndarray, split: str, draws: int = DRAWS, seed: int = 0
) -> Drawn:
    """The attack over `draws` seeded draws of equally many members of D_r and images of `split`.

    `non_members` (bool, (N,)) are the images of the split that may be drawn. Raises UndefinedError without any.
    """
    seen, unseen = (_probability(predictions, part) for part in ("train", split))
    members, others, forgotten = seen[~predictions.forgotten], unseen[non_members], seen[predictions.forgotten]
    n = min(len(members), len(others))
    if not n:
        raise UndefinedError("no image to draw members or non-members from")
    rng = np.random.default_rng(seed)
    values, hits = [], []
    is_member = np.repeat([True, False], n)
    on_forgotten = features(forgotten)
    for _ in range(draws):
        x = np.concatenate([rng.permutation(members)[:n], rng.permutation(others)[:n]])
        weights, intercept = fit(x, is_member)
        values.append(100.0 * float(np.mean(on_forgotten @ weights + intercept <= 0)))
        hits.append(100.0 * float(np.mean((features(x) @ weights + intercept > 0) == is_member)))
    return Drawn(float(np.mean(values)), float(np.std(values, ddof=1)), float(np.mean(hits)), n)


def _probability(predictions: Predictions, split: str) -> np.ndarray:
    return true_class_probability(predictions.logits[split], predictions.labels[split])
