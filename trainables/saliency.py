"""SalUn's weight saliency (Fan et al. 2024, ICLR) and its mask of the most salient weights."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from salun_grid.records.errors import Diverged
from salun_grid.trainables import augmentation
from salun_grid.trainables.optimizers import Mask
from salun_grid.trainables.passes import batch_slices
from salun_grid.trainables.resident import Augmenter, ResidentData, Subset


def saliency(
    model: nn.Module, data: ResidentData, forget: Subset, augmenter: Augmenter, batch_size: int
) -> list[Tensor]:
    """The saliency of each weight, float32 ≥ 0, one tensor per parameter in `model.parameters()` order.

    It is |Σ_batches ∂ mean cross-entropy / ∂ weight| over one pass over D_f (`forget`) in eval mode; the absolute
    value is taken after the sum.
    """
    model.eval()
    images, device = data.images["train"], data.device
    draws = augmenter.draws(len(forget), images.shape[1], "mask")
    draws = draws.to(device) if draws else None
    parameters = list(model.parameters())
    sums = [torch.zeros_like(parameter) for parameter in parameters]
    sizes = [part.stop - part.start for part in batch_slices(len(forget), batch_size)]
    indices = forget.indices.to(device)
    inputs = augmentation.augmented_batches(images, indices, draws, augmenter.config, sizes)
    for x, y in zip(inputs, forget.labels.split(sizes), strict=True):
        loss = nn.functional.cross_entropy(model(x), y)
        torch._foreach_add_(sums, torch.autograd.grad(loss, parameters))
    return [total.abs() for total in sums]


# --- the mask -----------------------------------------------------------------------------------------------


def top_fractions(scores: list[Tensor], fractions: Sequence[float]) -> list[Mask]:
    """A mask per fraction t: one bool tensor for each of `scores`, True for exactly int(N · t) of the N scores.

    Scores are ranked over all tensors together; ties go to the earlier score in `scores` order, row-major. One
    partial selection finds all thresholds. Raises Diverged if a score is not finite.
    """
    flat = torch.cat([score.flatten() for score in scores])
    if not flat.sum().isfinite():
        raise Diverged("the saliency of the forget set is not a number; lower training.learning_rate.")
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
    if flat.is_cuda:  # a radix sort of the values takes 1 or 2 ms for a ResNet-18
        return flat.sort().values[places]
    return torch.from_numpy(np.partition(flat.numpy(), places)[places])
