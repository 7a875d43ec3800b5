"""SalUn's weight saliency (Fan et al. 2024, ICLR): which parameters the forget set moves most."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainables import augmentation
from trainables.training import Augmenter, ResidentData, batches

Mask = list[Tensor]


def saliency_mask(
    model: nn.Module,
    data: ResidentData,
    forget: Tensor,
    augmenter: Augmenter,
    batch_size: int,
    fraction: float,
) -> Mask:
    """One bool tensor for each parameter, in `model.parameters()` order: True for the most salient.

    The saliency of a parameter is |Σ_batches ∂ mean cross-entropy / ∂ parameter| over one pass of D_f
    (`forget`, int64 train indices) in eval mode; the signed sum comes before the absolute value.
    """
    model.eval()
    images, device = data.images["train"], data.device
    draws = augmenter.draws(len(forget), images.shape[1], "mask")
    draws = draws.to(device) if draws else None
    indices = forget.to(device)
    parameters = list(model.parameters())
    sums = [torch.zeros_like(parameter) for parameter in parameters]
    for batch in batches(len(forget), batch_size):
        x = augmentation.apply(images[indices[batch]], draws[batch] if draws else None, augmenter.config)
        loss = nn.functional.cross_entropy(model(x), data.labels["train"][indices[batch]])
        torch._foreach_add_(sums, torch.autograd.grad(loss, parameters))
    return top_fraction([total.abs() for total in sums], fraction)


def top_fraction(scores: list[Tensor], fraction: float) -> Mask:
    """True for exactly int(N · fraction) of the N scores, ranked over all tensors together.

    Ties go to the earlier score in `scores` order, row-major: the sort is stable.
    """
    flat = torch.cat([score.flatten() for score in scores])
    order = torch.argsort(flat, descending=True, stable=True)
    chosen = torch.zeros_like(flat, dtype=torch.bool)
    chosen[order[: int(len(flat) * fraction)]] = True
    parts = chosen.split([score.numel() for score in scores])
    return [part.view(score.shape) for part, score in zip(parts, scores, strict=True)]


def masked_step(
    optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], mask: Mask, mode: str
) -> Callable[[], None]:
    """An SGD step under a mask. `leaky`: the gradient is masked, weight decay still moves the masked weights.

    `hard`: the same, after which the masked weights are put back, so that they never move.
    """
    frozen = [parameter.detach().clone() for parameter in parameters] if mode == "hard" else []

    @torch.no_grad()
    def step() -> None:
        for parameter, kept in zip(parameters, mask, strict=True):
            parameter.grad.mul_(kept)  # type: ignore[union-attr]
        optimizer.step()
        for parameter, kept, start in zip(parameters if frozen else [], mask, frozen, strict=False):
            parameter.copy_(torch.where(kept, parameter, start))

    return step
