"""Membership attacks calibrated per image by reference models that never saw it (offline attacks).

The grid's own models serve as references. For a target of seed s they are the `retrain` and `retrain-again` of the
other seeds with the target's dataset, augmentation and training, of any uniform forget set where the target's is one,
else of the target's own. A forgotten image of the target is OUT of such a reference where the reference forgot it too;
validation and test images are OUT of all.

Left out, and why:
- models of the target's own seed: its retrain starts from the weights that its original started from, and is what
  the target is compared with;
- originals: they saw every train image, so they are IN, and offline attacks use OUT models alone;
- unlearned models: whether they retain an image is the question.

RMIA's population is the held-out split that does not provide the non-members, the test split by default. No model saw
its images. If D_f consists of whole classes, it is restricted to their images.

A forgotten image has few OUT references and a validation image has all of them. Means over few references scatter more,
which alone would distinguish the two, so non-member j uses the references of forgotten image j modulo their number.
References with a larger forget set trained on less data, in the same proportion on both sides.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from salun_grid.records.errors import UndefinedError

# As in the authors' own tool, Privacy Meter; a was tuned on CIFAR-10.
RMIA_A, RMIA_GAMMA = 0.3, 1.0
TIE_SEED = 0


@dataclass(frozen=True)
class References:
    """R models to compare a target with: logit-scaled confidences (R, …) and where each model did not see the image.

    `forgotten` and `out` (R, F): the target's forgotten images; `non_members` (R, N) and `population` (R, Z): images
    that no model saw.
    """

    forgotten: np.ndarray
    out: np.ndarray
    non_members: np.ndarray
    population: np.ndarray


@dataclass(frozen=True)
class Target:
    """The attacked model's logit-scaled confidences of the same images: (F,), (N,) and (Z,)."""

    forgotten: np.ndarray
    non_members: np.ndarray
    population: np.ndarray


def attacked(references: References) -> np.ndarray:
    """Which forgotten images have a reference that never saw them, bool (F,). Raises UndefinedError where none has."""
    covered = np.any(references.out, axis=0, keepdims=True)[0]
    if not covered.any():
        raise UndefinedError("no forgotten image was also forgotten by a retrain of another seed")
    return covered


def borrowed(out: np.ndarray, num: int) -> np.ndarray:
    """References for `num` non-members, bool (R, num): non-member j has those of image j modulo F."""
    return out[:, np.arange(num) % out.shape[1]]


def mean_over(values: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Mean over the models of axis 0 where `used`; each column must use one at least. (R, N) to (N,)."""
    return np.where(used, values, 0.0).sum(axis=0) / used.sum(axis=0)


def pooled_sd(values: np.ndarray, used: np.ndarray) -> float:
    """One standard deviation for all images, from the scatter around each image's own mean.

    LiRA pools the variance if there are few references (Carlini et al. 2022, section VI-B). 1 where no image has two
    references or nothing scatters: the order of the scores does not depend on it.
    """
    degrees = int(used.sum()) - used.shape[1]
    if degrees <= 0:
        return 1.0
    deviations = np.where(used, values - mean_over(values, used), 0.0)
    return float(np.sqrt((deviations**2).sum() / degrees)) or 1.0


def lira(target: Target, references: References) -> tuple[np.ndarray, np.ndarray]:
    """Offline LiRA (Carlini et al. 2022): standard deviations above the confidence of models that never saw the image.

    Scores of the covered forgotten images, and of the non-members. Raises UndefinedError without references.
    """
    covered = attacked(references)
    out, values = references.out[:, covered], references.forgotten[:, covered]
    used = borrowed(out, len(target.non_members))
    sd = pooled_sd(values, out)
    members = (target.forgotten[covered] - mean_over(values, out)) / sd
    return members, (target.non_members - mean_over(references.non_members, used)) / sd


def rmia(target: Target, references: References) -> tuple[np.ndarray, np.ndarray]:
    """Offline RMIA (Zarifzadeh et al. 2024): the share of population images z over which x stands out.

    x stands out over z where [P(x|θ) / P(x)] / [P(z|θ) / P(z)] ≥ γ; P(·) = ½ [(1 + a) P_OUT(·) + (1 − a)] stands for
    the mean over models with and without the image. Scores as in `lira`.

    A share of Z images has Z + 1 values, so many images tie, and no threshold lies between them: ties are broken by a
    seeded uniform number below 1 / Z, members and non-members alike.
    """
    covered = attacked(references)
    out = references.out[:, covered]
    used = borrowed(out, len(target.non_members))
    every = np.ones(references.population.shape, dtype=bool)
    members = likelihood_ratio(target.forgotten[covered], references.forgotten[:, covered], out)
    non_members = likelihood_ratio(target.non_members, references.non_members, used)
    population = np.sort(likelihood_ratio(target.population, references.population, every))
    rng, num = np.random.default_rng(TIE_SEED), len(population)
    shares = [
        (np.searchsorted(population, ratios / RMIA_GAMMA, side="right") + rng.random(len(ratios))) / num
        for ratios in (members, non_members)
    ]
    return shares[0], shares[1]


def likelihood_ratio(target: np.ndarray, references: np.ndarray, used: np.ndarray) -> np.ndarray:
    """P(x|θ) / P(x) of each image, from logit-scaled confidences: (N,), (R, N), bool (R, N) to (N,)."""
    p_out = mean_over(expit(references), used)
    return expit(target) / (0.5 * ((1 + RMIA_A) * p_out + (1 - RMIA_A)))
