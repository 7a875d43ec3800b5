"""SalUn with a soft threshold (Fan et al. 2024, arXiv 2310.12508, Appendix): steps shrunk towards θ₀ instead of a mask.

Follows SalUn's code with two departures: that code shrinks towards the weights at the start of each epoch, whereas the
paper and this module use θ₀; and here the fraction decays per epoch for either order of passes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from salun_grid.trainables.methods.base import Method, PassCount, Unlearning
from salun_grid.trainables.methods.random_label import RandomLabel, epoch_on_random_labels
from salun_grid.trainables.settings import setting


@dataclass(frozen=True)
class SalUnSoft(RandomLabel):
    """SGD with a constant learning rate and a proximal step after each SGD step."""

    kept_fraction: float = setting(
        0.5,
        at_least=0,
        at_most=1,
        doc="Fraction of the weights reset to θ₀ by each step of the first epoch; falls linearly to 0 after the last.",
        source="the fraction of SalUn's mask",
    )


def salun_soft(job: Unlearning[SalUnSoft]) -> None:
    """`random_label` with a soft threshold on θ − θ₀ after each step; `kept_fraction` = 0 is `random_label`."""
    s, optimizer = job.settings, job.sgd()
    passes = job.passes(optimizer)
    weights = list(job.model.parameters())
    starts = [weight.detach().clone() for weight in weights]
    fraction = s.kept_fraction
    optimizer.register_step_post_hook(lambda *_: shrink(weights, starts, fraction))
    for epoch in range(s.epochs):
        fraction = s.kept_fraction * (1 - epoch / s.epochs)
        epoch_on_random_labels(job, passes, epoch)


@torch.no_grad()
def shrink(weights: list[nn.Parameter], starts: list[Tensor], fraction: float) -> None:
    """Soft-threshold the changes of the weights so that `fraction` of them return to their start."""
    moved = [weight - start for weight, start in zip(weights, starts, strict=True)]
    distances = torch.cat([part.abs().flatten() for part in moved])
    count = int(fraction * len(distances))
    if count == 0:
        return
    threshold = distances.kthvalue(count).values
    for weight, start, part in zip(weights, starts, moved, strict=True):
        weight.copy_(start + part.sign() * (part.abs() - threshold).clamp(min=0))


METHOD = Method(
    salun_soft,
    SalUnSoft,
    passes=lambda s: PassCount(forget=s.epochs, retain=s.epochs),
    idea="random_label with each step shrunk towards the original by a soft threshold.",
    paper="Fan et al. 2024, arXiv 2310.12508",
    version=1,
)
