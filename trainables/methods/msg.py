"""Masked small gradients: second in the NeurIPS 2023 unlearning challenge (Cadet et al. 2024, arXiv 2410.01276).

The convolution weights whose gradients differ least between D_f and D_r are drawn anew, and the network is finetuned
on D_r, in which the other convolution weights move slowly. This is DeepUnlearn's code, which chooses in each layer by
itself. The gradients are taken in eval mode; that code leaves the mode as it finds it.
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
# The gradient of the convolution weights that are kept, times this.
KEPT_FACTOR = 0.1


@dataclass(frozen=True)
class Msg(Iterative):
    """SGD whose learning rate rises for half of the epochs and falls for the others, as a triangle."""

    epochs: int = setting(5, at_least=1, unit="passes", source=CODE)
    batch_size: int = setting(64, at_least=2, unit="images", source=CODE)
    learning_rate: float = setting(1e-3, above=0, below=100, doc="At the triangle's top.", source=CODE)
    fraction: float = setting(
        0.3, at_least=0, at_most=1, doc="Of the weights of each convolution, drawn anew.", source=CODE
    )


def msg(job: Unlearning[Msg]) -> None:
    """Draw anew the weights of smallest |∇CE_r − ∇CE_f| in each convolution, and minimise CE_r.

    ∇CE_r is that of as many images of D_r as D_f has.
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
    """Draw anew in place; for each convolution's weight, which of its values were drawn (bool, of its shape)."""
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
    """|∇CE_r − ∇CE_f| of each weight, over D_f and as many images of D_r, drawn once."""
    order = torch.randperm(len(job.retain), generator=job.generator("msg", "retain"))
    retain = job.data.subset("sample", job.retain.indices[order[: len(job.forget)]])
    pairs = zip(mean_gradient(job, retain), mean_gradient(job, job.forget), strict=True)
    return {weight: (r - f).abs() for weight, (r, f) in zip(job.model.parameters(), pairs, strict=True)}


def smallest(scores: Tensor, count: int) -> Tensor:
    """Bool, of the shape of `scores`, True at its `count` smallest; a tie goes to the earlier, on every device."""
    chosen = torch.zeros(scores.numel(), dtype=torch.bool, device=scores.device)
    chosen[scores.flatten().argsort(stable=True)[:count]] = True
    return chosen.view(scores.shape)


def triangle(epoch: int, epochs: int) -> float:
    """The factor of the learning rate: from 1 / rising to 1, and down again to 1 / (falling + 1)."""
    rising, step = (epochs + 1) // 2, epoch + 1
    return step / rising if step <= rising else (epochs + 1 - step) / (epochs + 1 - rising)


METHOD = Method(
    msg,
    Msg,
    # The gradients are of D_f and of as many images of D_r.
    passes=lambda s: PassCount(forget=2, retain=s.epochs),
    idea="Draw anew the convolution weights that tell D_f from D_r least, and train on D_r.",
    paper="Cadet et al. 2024, arXiv 2410.01276",
    takes_mask=False,
    version=1,
)
