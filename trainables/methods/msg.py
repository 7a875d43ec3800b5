"""Masked small gradients: second in the NeurIPS 2023 unlearning challenge (Cadet et al. 2024, arXiv 2410.01276).

The convolution weights whose gradients differ least between D_f and D_r are reinitialised, and the network is finetuned
on D_r with smaller steps for the other convolution weights. Follows DeepUnlearn's code, which selects weights per
layer. Gradients are taken in eval mode; DeepUnlearn leaves the mode unchanged.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from salun_grid.trainables.methods.base import Iterative, Method, PassCount, Unlearning
from salun_grid.trainables.methods.gradients import mean_gradient
from salun_grid.trainables.optimizers import mask_gradients
from salun_grid.trainables.settings import setting

CODE = "DeepUnlearn"
# Gradient factor of the convolution weights that are kept.
KEPT_FACTOR = 0.1


@dataclass(frozen=True)
class Msg(Iterative):
    """SGD with a triangular learning rate, which rises for half of the epochs and then falls."""

    epochs: int = setting(5, at_least=1, unit="passes", source=CODE)
    batch_size: int = setting(64, at_least=2, unit="images", source=CODE)
    learning_rate: float = setting(1e-3, above=0, below=100, doc="Peak of the triangle.", source=CODE)
    fraction: float = setting(
        0.3, at_least=0, at_most=1, doc="Fraction of each convolution's weights that is reinitialised.", source=CODE
    )


def msg(job: Unlearning[Msg]) -> None:
    """Reinitialise the weights of smallest |∇CE_r − ∇CE_f| in each convolution, then minimise CE_r.

    ∇CE_r uses as many images of D_r as D_f has.
    """
    s = job.settings
    drawn = draw_least(job, gradient_differences(job))
    optimizer = job.sgd()
    factors = [torch.where(part, 1.0, KEPT_FACTOR) for part in drawn.values()]
    mask_gradients(optimizer, list(drawn), factors)
    passes = job.passes(optimizer)
    for epoch in range(s.epochs):
        for group in optimizer.param_groups:
            group["lr"] = s.learning_rate * triangle(epoch, s.epochs)
        passes.over(job.retain, epoch)


@torch.no_grad()
def draw_least(job: Unlearning[Msg], scores: dict[Tensor, Tensor]) -> dict[Tensor, Tensor]:
    """Reinitialise in place; returns a bool tensor per convolution weight, True for the redrawn values."""
    stream, drawn = job.generator("msg", "weights"), {}
    for module in job.model.modules():
        if isinstance(module, nn.Conv2d):
            weight = module.weight
            fresh = torch.empty(weight.shape)
            nn.init.kaiming_normal_(fresh, mode="fan_out", nonlinearity="relu", generator=stream)
            chosen = smallest(scores[weight], round(job.settings.fraction * weight.numel()))
            weight.copy_(torch.where(chosen, fresh.to(weight), weight))
            drawn[weight] = chosen
    return drawn


def gradient_differences(job: Unlearning[Any]) -> dict[Tensor, Tensor]:
    """|∇CE_r − ∇CE_f| of each weight, over D_f and an equal number of images of D_r, drawn once."""
    order = torch.randperm(len(job.retain), generator=job.generator("msg", "retain"))
    retain = job.data.subset("sample", job.retain.indices[order[: len(job.forget)]])
    pairs = zip(mean_gradient(job, retain), mean_gradient(job, job.forget), strict=True)
    return {weight: (r - f).abs() for weight, (r, f) in zip(job.model.parameters(), pairs, strict=True)}


def smallest(scores: Tensor, count: int) -> Tensor:
    """A bool tensor, True at the `count` smallest scores; ties go to the earlier score on every device."""
    chosen = torch.zeros(scores.numel(), dtype=torch.bool, device=scores.device)
    chosen[scores.flatten().argsort(stable=True)[:count]] = True
    return chosen.view(scores.shape)


def triangle(epoch: int, epochs: int) -> float:
    """The learning-rate factor: from 1 / rising up to 1, then down to 1 / (falling + 1)."""
    rising, step = (epochs + 1) // 2, epoch + 1
    return step / rising if step <= rising else (epochs + 1 - step) / (epochs + 1 - rising)


METHOD = Method(
    msg,
    Msg,
    # The gradients are over D_f and as many images of D_r.
    passes=lambda s: PassCount(forget=2, retain=s.epochs),
    idea="Reinitialise the convolution weights whose gradients on D_f and D_r differ least, then train on D_r.",
    paper="Cadet et al. 2024, arXiv 2410.01276",
    takes_mask=False,
    version=1,
)
