"""UGradSL and UGradSL+ (Di et al. 2024, arXiv 2406.07698): gradient ascent on D_f with negative label smoothing.

The authors' code was not available; the steps follow the paper's equations.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from salun_grid.trainables.methods.base import Iterative, Method, PassCount, Unlearning
from salun_grid.trainables.passes import Batch, cross_entropy
from salun_grid.trainables.settings import setting

SEARCHED = "a starting point; the authors tuned it for each dataset"


@dataclass(frozen=True)
class UGradSL(Iterative):
    """SGD; as with `gradient_ascent`, the loss is unbounded."""

    epochs: int = setting(5, at_least=1, unit="passes", source="SalUn's code, for gradient ascent")
    learning_rate: float = setting(1e-4, above=0, below=100, source="SalUn's code, for gradient ascent")
    smoothing: float = setting(-0.2, above=-100, at_most=0, doc="α of the smoothing on D_f.", source=SEARCHED)


def ugradsl(job: Unlearning[UGradSL]) -> None:
    """Maximise the cross-entropy on D_f to labels smoothed by α ≤ 0; α = 0 is `gradient_ascent`.

    In the paper each step also descends on a batch of D_r with weight p; here p = 0, so that D_r is not needed.
    """
    passes = job.passes(job.sgd())
    for epoch in range(job.settings.epochs):
        passes.over(job.forget, epoch, loss=lambda batch: -smoothed_cross_entropy(batch, job.settings.smoothing))


@dataclass(frozen=True)
class UGradSLPlus(Iterative):
    """SGD over pairs of batches, one of D_r and one of D_f; D_f is reshuffled whenever it is used up."""

    learning_rate: float = setting(0.01, above=0, below=100, source=SEARCHED)
    retain_weight: float = setting(0.95, at_least=0, at_most=1, doc="Weight p of D_r; D_f has 1 − p.", source=SEARCHED)
    smoothing: float | None = setting(
        None, above=-100, at_most=0, doc="α of the smoothing on D_f; none adapts it per image.", source="the paper"
    )
    neighbour_distance: float = setting(
        0.5,
        at_least=0,
        at_most=1,
        doc="For adaptive smoothing, the distance of predictions below which an image of D_r is a neighbour.",
        source=SEARCHED,
    )


def ugradsl_plus(job: Unlearning[UGradSLPlus]) -> None:
    """Minimise p · CE_r − (1 − p) · CE_f, with the labels of D_f smoothed by α ≤ 0.

    The adaptive α of an image is −(its neighbours in the batch of D_r) / (images of that batch). The paper only says
    that the distance is in 0 … 1; here it is the total variation between the predicted distributions.
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
    """Cross-entropy to (1 − α) · one-hot + α / C, float (B,); `alpha` is a number or a value per image."""
    to_uniform = -batch.logits.log_softmax(1).mean(1)
    return (1 - alpha) * cross_entropy(batch) + alpha * to_uniform


@torch.no_grad()
def neighbour_share(forget: Tensor, retain: Tensor, distance: float) -> Tensor:
    """For each row of the logits `forget` (B, C), the fraction of rows of `retain` nearer than `distance`, (B,)."""
    apart = (forget.softmax(1)[:, None] - retain.softmax(1)[None]).abs().sum(2) / 2
    return (apart < distance).to(forget.dtype).mean(1)


METHOD = Method(
    ugradsl,
    UGradSL,
    passes=lambda s: PassCount(forget=s.epochs),
    idea="Maximise the loss on D_f with negative label smoothing.",
    paper="Di et al. 2024, arXiv 2406.07698",
    version=1,
)
PLUS = Method(
    ugradsl_plus,
    UGradSLPlus,
    passes=lambda s: PassCount(retain=s.epochs, paired=s.epochs),
    idea="In each step, minimise the loss on D_r and maximise it on D_f with negative label smoothing.",
    paper="Di et al. 2024, arXiv 2406.07698",
    version=1,
)
