"""UGradSL and UGradSL+ (Di et al. 2024, arXiv 2406.07698): gradient ascent on D_f with negative label smoothing.

The authors' code was not at hand; the steps follow the paper's equations.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from salun_grid.trainables.methods.base import Iterative, Method, PassCount, Unlearning
from salun_grid.trainables.passes import Batch, cross_entropy
from salun_grid.trainables.settings import setting

SEARCHED = "a starting point; the authors searched it for each dataset"


@dataclass(frozen=True)
class UGradSL(Iterative):
    """SGD; as with `gradient_ascent`, the loss has no upper bound."""

    epochs: int = setting(5, at_least=1, unit="passes", source="SalUn's code, for gradient ascent")
    learning_rate: float = setting(1e-4, above=0, below=100, source="SalUn's code, for gradient ascent")
    smoothing: float = setting(-0.2, above=-100, at_most=0, doc="α of the labels of D_f.", source=SEARCHED)


def ugradsl(job: Unlearning[UGradSL]) -> None:
    """Maximise on D_f the cross-entropy to labels smoothed by α ≤ 0. With α = 0 this is `gradient_ascent`.

    The paper descends on a batch of D_r in each step besides, with weight p; here p = 0, so that D_r is not needed.
    """
    passes = job.passes(job.sgd())
    for epoch in range(job.settings.epochs):
        passes.over(job.forget, epoch, loss=lambda batch: -smoothed_cross_entropy(batch, job.settings.smoothing))


@dataclass(frozen=True)
class UGradSLPlus(Iterative):
    """SGD over pairs of batches, one of D_r and one of D_f; D_f is shuffled anew as often as D_r takes."""

    learning_rate: float = setting(0.01, above=0, below=100, source=SEARCHED)
    retain_weight: float = setting(0.95, at_least=0, at_most=1, doc="p of D_r; D_f has 1 − p.", source=SEARCHED)
    smoothing: float | None = setting(
        None, above=-100, at_most=0, doc="α of the labels of D_f; none adapts it to each image.", source="the paper"
    )
    neighbour_distance: float = setting(
        0.5,
        at_least=0,
        at_most=1,
        doc="With adaptive smoothing, the distance of predictions below which an image of D_r is a neighbour.",
        source=SEARCHED,
    )


def ugradsl_plus(job: Unlearning[UGradSLPlus]) -> None:
    """Minimise p · CE_r − (1 − p) · CE_f, the latter to labels smoothed by α ≤ 0.

    Adaptive, α of an image is −(its neighbours in the batch of D_r) / (images of that batch). The paper leaves the
    distance open, within 0 … 1: here it is the total variation between the two predicted distributions.
    """
    s, passes = job.settings, job.passes(job.sgd())

    def alpha(forget: Batch, retain: Batch) -> float | Tensor:
        if s.smoothing is not None:
            return s.smoothing
        return -neighbour_share(forget.logits, retain.logits, s.neighbour_distance)

    def loss(forget: Batch, retain: Batch) -> Tensor:
        descent = s.retain_weight * cross_entropy(retain).mean()
        return descent - (1 - s.retain_weight) * smoothed_cross_entropy(forget, alpha(forget, retain)).mean()

    for epoch in range(s.epochs):
        passes.over_pairs(job.forget, job.retain, epoch, loss)


def smoothed_cross_entropy(batch: Batch, alpha: float | Tensor) -> Tensor:
    """Cross-entropy to (1 − α) · one-hot + α / C, float (B,); `alpha` is one number or one for each image."""
    to_uniform = -batch.logits.log_softmax(1).mean(1)
    return (1 - alpha) * cross_entropy(batch) + alpha * to_uniform


@torch.no_grad()
def neighbour_share(forget: Tensor, retain: Tensor, distance: float) -> Tensor:
    """For each row of the logits `forget` (B, C), the share of the rows of `retain` nearer than `distance`, (B,)."""
    apart = (forget.softmax(1)[:, None] - retain.softmax(1)[None]).abs().sum(2) / 2
    return (apart < distance).to(forget.dtype).mean(1)


METHOD = Method(
    ugradsl,
    UGradSL,
    passes=lambda s: PassCount(forget=s.epochs),
    idea="Maximise the loss to negatively smoothed labels on D_f.",
    paper="Di et al. 2024, arXiv 2406.07698",
    version=1,
)
PLUS = Method(
    ugradsl_plus,
    UGradSLPlus,
    passes=lambda s: PassCount(retain=s.epochs, paired=s.epochs),
    idea="Minimise the loss on D_r, and maximise that to negatively smoothed labels on D_f, in each step.",
    paper="Di et al. 2024, arXiv 2406.07698",
    version=1,
)
