"""SalUn's weight saliency (Fan et al. 2024, ICLR): which weights the forget set moves most, and SGD on those alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainables import augmentation
from trainables.errors import Diverged
from trainables.training import Augmenter, ResidentData, batches

Mask = list[Tensor]


def saliency(
    model: nn.Module, data: ResidentData, forget: Tensor, augmenter: Augmenter, batch_size: int
) -> list[Tensor]:
    """The saliency of each weight, float32 ≥ 0, a tensor for each parameter in `model.parameters()` order.

    It is |Σ_batches ∂ mean cross-entropy / ∂ weight| over one pass of D_f (`forget`, int64 train indices) in eval
    mode; the signed sum comes before the absolute value.
    """
    model.eval()
    images, device = data.images["train"], data.device
    draws = augmenter.draws(len(forget), images.shape[1], "mask")
    draws = draws.to(device) if draws else None
    parameters = list(model.parameters())
    sums = [torch.zeros_like(parameter) for parameter in parameters]
    indices, sizes = forget.to(device), [part.stop - part.start for part in batches(len(forget), batch_size)]
    inputs = augmentation.augmented_batches(images, indices, draws, augmenter.config, sizes)
    for x, y in zip(inputs, data.labels["train"][indices].split(sizes), strict=True):
        loss = nn.functional.cross_entropy(model(x), y)
        torch._foreach_add_(sums, torch.autograd.grad(loss, parameters))
    return [total.abs() for total in sums]


# --- the mask -----------------------------------------------------------------------------------------------


def top_fractions(scores: list[Tensor], fractions: Sequence[float]) -> list[Mask]:
    """For each fraction t a mask: one bool tensor for each of `scores`, True for exactly int(N · t) of the N scores.

    They are ranked over all tensors together; ties go to the earlier score in `scores` order, row-major. One selection
    finds all thresholds; nothing is sorted. Raises Diverged where a score is not a number.
    """
    flat = torch.cat([score.flatten() for score in scores])
    if not flat.sum().isfinite():
        raise Diverged("the saliency of the forget set is not a number; try a lower learning rate for the original.")
    counts = [int(len(flat) * fraction) for fraction in fractions]
    sizes = [score.numel() for score in scores]
    masks = []
    for count, threshold in zip(counts, _nth_largest(flat, counts), strict=True):
        chosen = flat >= threshold
        if excess := int(chosen.count_nonzero()) - count:
            ties = (flat == threshold).nonzero().squeeze(1)
            chosen[ties[len(ties) - excess :]] = False
        parts = zip(chosen.split(sizes), scores, strict=True)
        masks.append([part.view(score.shape) for part, score in parts])
    return masks


def top_fraction(scores: list[Tensor], fraction: float) -> Mask:
    """The mask of one fraction; see `top_fractions`."""
    return top_fractions(scores, [fraction])[0]


def _nth_largest(flat: Tensor, counts: list[int]) -> Tensor:
    """The largest score for a count of 1 (or 0), the second largest for 2, and so on."""
    places = [len(flat) - max(count, 1) for count in counts]
    if flat.is_cuda:  # a radix sort of values takes 1 or 2 ms for a ResNet-18 there
        return flat.sort().values[places]
    return torch.from_numpy(np.partition(flat.numpy(), places)[places])


# --- training under it ----------------------------------------------------------------------------------------


class MaskedSGD(torch.optim.SGD):
    """SGD on the weights that a mask chooses. `leaky`: the gradient is masked, and weight decay still moves the others.

    `hard`: the others never move. The step is SGD's own on all weights, after which the masked ones are put back; each
    weight ends bit for bit where masking its gradient as well would leave it, since no weight's step reads another's.

    It works on the weights in the order of their memory: PyTorch's CPU kernel copies a gradient that is channels_last,
    which is half of its time, and one buffer of all weights is put back by one kernel.
    """

    def __init__(self, parameters: list[nn.Parameter], mask: Mask, mode: str, **settings: Any) -> None:
        self.weights, self.hard = parameters, mode == "hard"
        self.buffer = share_a_buffer(parameters)
        # 1 for a chosen weight and 0 for another, in the weights' type and order.
        self.kept_row = torch.cat(
            [in_memory_order(part, weight) for part, weight in zip(mask, parameters, strict=True)]
        )
        sizes = [weight.numel() for weight in parameters]
        self.kept = self.kept_row.split(sizes)
        # −0, and not 0, is what changes no number when it is added.
        self.start = torch.where(self.kept_row.bool(), -0.0, self.buffer)
        super().__init__(self.buffer.split(sizes), fused=True, **settings)

    def zero_grad(self, set_to_none: bool = True) -> None:
        for weight in self.weights:
            weight.grad = None

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step from the gradients of the weights."""
        rows = self.param_groups[0]["params"]
        gradients = [in_memory_order(weight.grad, weight) for weight in self.weights]  # type: ignore[arg-type]
        if not self.hard:
            torch._foreach_mul_(gradients, self.kept)
        for row, gradient in zip(rows, gradients, strict=True):
            row.grad = gradient
        super().step()
        if self.hard:
            torch.addcmul(self.start, self.buffer, self.kept_row, out=self.buffer)


def share_a_buffer(parameters: list[nn.Parameter]) -> Tensor:
    """Move all weights into one buffer, 1-D, each in the order that its memory has; returns the buffer."""
    buffer = torch.cat([in_memory_order(parameter.detach(), parameter) for parameter in parameters])
    start = 0
    for parameter in parameters:
        parameter.data = buffer.as_strided(parameter.shape, parameter.stride(), start)
        start += parameter.numel()
    return buffer


def in_memory_order(tensor: Tensor, weight: Tensor) -> Tensor:
    """`tensor`, of the shape of the dense `weight`, as one row in the order and type of its memory.

    It is copied only where its own order or type is another.
    """
    if tensor.stride() != weight.stride() or tensor.dtype != weight.dtype:
        tensor = torch.empty_like(weight).copy_(tensor)
    return tensor.as_strided((tensor.numel(),), (1,), tensor.storage_offset())
