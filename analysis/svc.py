"""A support vector machine with an RBF kernel on one number in [0, 1], in time linear in the number of images.

There, exp(−(x − y)²) is a sum of TERMS products of a function of x and the same function of y, to within 1e-12. The
dual problem has that rank, and an interior-point method solves it without the kernel matrix (Ferris & Munson 2002).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from salun_grid.records.errors import UndefinedError

TERMS = 12
GAP = 1e-10  # mean complementarity, relative to C, at which the method has converged
RESIDUAL = 1e-6  # largest violation of an equation at which it has
DAMPING = 1e-9  # keeps the linear systems regular where an image lies on the margin
MOST_STEPS = 200
STEP_FRACTION = 0.995  # of the way to the nearest bound
LITTLE = 0.9  # a step that leaves more of the gap is replaced
ROUNDING = 1e-9  # a decision this near to 0 is 0, which scikit-learn's SVC gives the first class, non-members


def features(x: np.ndarray) -> np.ndarray:
    """Φ (N, TERMS) with Φ(x) · Φ(y) = exp(−(x − y)²) for x and y in [0, 1], by the series of exp(2xy) around ½."""
    centred = x.astype(np.float64) - 0.5
    columns = [np.exp(-(centred**2))]
    for k in range(1, TERMS):
        columns.append(columns[-1] * centred * math.sqrt(2 / k))
    return np.column_stack(columns)


@dataclass(frozen=True)
class Decision:
    """A fitted machine, by the weights (TERMS,) of `features`; its decision is positive for a member."""

    weights: np.ndarray
    intercept: float

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Decision values (N,) of images, given by their features (N, TERMS)."""
        return images @ self.weights + self.intercept

    def is_member(self, images: np.ndarray) -> np.ndarray:
        """Labels, bool (N,)."""
        return self(images) > ROUNDING


def fit(images: np.ndarray, is_member: np.ndarray, c: float) -> Decision:
    """What scikit-learn's SVC (RBF, gamma 1) finds, to convergence: `images` (N, TERMS) are features, `is_member` bool.

    Raises UndefinedError where the method does not converge.
    """
    sign = np.where(is_member, 1.0, -1.0)
    solution = _solve(np.column_stack([images * sign[:, None], sign]), c)
    weights = solution.point[:-1]
    at_zero, at_c = solution.alpha < solution.lower, c - solution.alpha < solution.upper
    return Decision(weights, _intercept(sign - images @ weights, sign, at_zero, at_c))


def _intercept(errors: np.ndarray, sign: np.ndarray, at_zero: np.ndarray, at_c: np.ndarray) -> float:
    """The intercept as LIBSVM chooses it: the mean over free images, or the middle of what is allowed without any.

    `errors` is the label ±1 minus the decision without intercept.
    """
    free = ~(at_zero | at_c)
    if free.any():
        return float(errors[free].mean())
    above = (at_c & (sign < 0)) | (at_zero & (sign > 0))
    return float((errors[above].max() + errors[~above].min()) / 2)


class _Point(NamedTuple):
    """α (N,) of the dual, the multipliers of 0 ≤ α and α ≤ c, weights and intercept (TERMS + 1,); or a step in each."""

    alpha: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    point: np.ndarray

    def moved(self, step: "_Point", size: float) -> "_Point":
        return _Point(*(value + size * change for value, change in zip(self, step, strict=True)))

    def gap(self, c: float) -> float:
        """The mean product of a bounded value and its multiplier; 0 at the solution."""
        return float(self.alpha @ self.lower + (c - self.alpha) @ self.upper) / (2 * len(self.alpha))

    def room(self, step: "_Point", c: float) -> float:
        """The largest multiple of `step` that crosses no bound."""
        pairs = (self.alpha, step.alpha), (c - self.alpha, -step.alpha), (self.lower, step.lower)
        falls = min(float((change / value).min()) for value, change in (*pairs, (self.upper, step.upper)))
        return -1 / falls if falls < 0 else math.inf


def _solve(rows: np.ndarray, c: float) -> _Point:
    """The dual's solution. `rows` (N, TERMS + 1) are the features times the sign ±1, and the sign.

    Predictor and corrector after Mehrotra (1992). The corrector can cycle, so a centring step replaces one that closes
    little of the gap.
    """
    at = _Point(np.full(len(rows), c / 2), np.ones(len(rows)), np.ones(len(rows)), np.zeros(rows.shape[1]))
    for _ in range(MOST_STEPS):
        dual, primal = 1 - rows @ at.point + at.lower - at.upper, _weights_alone(at.point) - at.alpha @ rows
        gap = at.gap(c)
        if gap < GAP * c and max(np.abs(dual).max(), np.abs(primal).max()) < RESIDUAL:
            return at
        towards = _newton(rows, at, c, dual, primal)
        step = towards(0.0, 0.0)
        target = at.moved(step, min(1.0, at.room(step, c))).gap(c) ** 3 / gap**2
        step = towards(target - step.alpha * step.lower, target + step.alpha * step.upper)
        after = at.moved(step, min(1.0, STEP_FRACTION * at.room(step, c)))
        if after.gap(c) > LITTLE * gap:
            step = towards(gap / 2, gap / 2)
            after = at.moved(step, min(1.0, STEP_FRACTION * at.room(step, c)))
        at = after
    raise UndefinedError("the membership attack's fit did not converge")


def _weights_alone(point: np.ndarray) -> np.ndarray:
    return np.append(point[:-1], 0.0)


def _newton(
    rows: np.ndarray, at: _Point, c: float, dual: np.ndarray, primal: np.ndarray
) -> Callable[[np.ndarray | float, np.ndarray | float], _Point]:
    """The step that takes the products of α and c − α with their multipliers to given values, and residuals to 0."""
    below, above = at.lower / at.alpha, at.upper / (c - at.alpha)
    scale = 1 / (below + above + DAMPING)
    scaled = rows * scale[:, None]
    system = np.diag(_weights_alone(np.ones(rows.shape[1]))) + scaled.T @ rows

    def step(low: np.ndarray | float, high: np.ndarray | float) -> _Point:
        to_lower, to_upper = low / at.alpha - at.lower, high / (c - at.alpha) - at.upper
        right = dual + to_lower - to_upper
        point = np.linalg.solve(system, right @ scaled - primal)
        alpha = scale * (right - rows @ point)
        return _Point(alpha, to_lower - below * alpha, to_upper + above * alpha, point)

    return step
