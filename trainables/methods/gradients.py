"""Gradients of the original over a subset: mean, per-image, and mean squared or absolute per-image gradients.

All use eval mode and the augmented images in the order of the subset, and each pass is reported.
"""

from collections.abc import Callable, Iterable, Iterator
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from salun_grid.records.errors import Diverged
from salun_grid.trainables import augmentation
from salun_grid.trainables.methods.base import Unlearning
from salun_grid.trainables.passes import Epoch, batch_slices, now
from salun_grid.trainables.resident import Subset

# Per-image gradients computed together: 0.7 GB for a ResNet-18 of width 64.
CHUNK = 16
# Batch size for mean gradients; it affects only rounding.
BATCH = 256

# Per-image loss, float (B,), from logits (B, num_classes) and labels (B,).
LossOfLogits = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Per-image cross-entropy, float (B,)."""
    return nn.functional.cross_entropy(logits, labels, reduction="none")


def squared_norm(logits: Tensor, labels: Tensor) -> Tensor:
    """Per-image ‖logits‖², float (B,); labels are not used."""
    return logits.square().sum(1)


def mean_gradient(job: Unlearning[Any], subset: Subset) -> list[Tensor]:
    """∂ mean cross-entropy / ∂ weight, one tensor per parameter in `model.parameters()` order."""
    model, report = job.model.eval(), Report(job, subset)
    weights = list(model.parameters())
    sums = [torch.zeros_like(weight) for weight in weights]
    for images, labels in batches_in_order(job, subset, BATCH):
        logits = model(images)
        losses = cross_entropy(logits, labels)
        torch._foreach_add_(sums, torch.autograd.grad(losses.sum(), weights))
        report.add(losses, logits, labels)
    report.finish()
    return list(torch._foreach_div(sums, len(subset)))


def mean_squared_gradient(job: Unlearning[Any], subset: Subset, loss: LossOfLogits = cross_entropy) -> list[Tensor]:
    """The mean over images of (∂ loss of the image / ∂ weight)², one tensor ≥ 0 per parameter, in order.

    For the cross-entropy to the true labels it is the diagonal of the empirical Fisher information matrix.
    """
    return mean_size(job, subset, loss, torch.Tensor.square_)


def mean_absolute_gradient(job: Unlearning[Any], subset: Subset, loss: LossOfLogits = cross_entropy) -> list[Tensor]:
    """The mean over images of |∂ loss of the image / ∂ weight|, one tensor ≥ 0 per parameter, in order."""
    return mean_size(job, subset, loss, torch.Tensor.abs_)


def mean_size(
    job: Unlearning[Any], subset: Subset, loss: LossOfLogits, size: Callable[[Tensor], Tensor]
) -> list[Tensor]:
    """The mean over images of `size` of the image's gradient; `size` may work in place."""
    sums = [torch.zeros_like(weight) for weight in job.model.parameters()]
    for gradients in per_image_gradients(job, subset, loss):
        torch._foreach_add_(sums, [size(gradient).sum(0) for gradient in gradients])
        del gradients
    return list(torch._foreach_div(sums, len(subset)))


def per_image_gradients(
    job: Unlearning[Any], subset: Subset, loss: LossOfLogits = cross_entropy
) -> Iterator[list[Tensor]]:
    """Per-image gradients of `subset` in chunks of CHUNK images: (chunk, *shape) per parameter, in order.

    Delete each chunk before requesting the next, so that only one is in memory.
    """
    model, report = job.model.eval(), Report(job, subset)
    weights = {name: weight.detach() for name, weight in model.named_parameters()}

    def loss_of_one(weights: dict[str, Tensor], image: Tensor, label: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        logits = functional_call(model, weights, (image[None],))
        value = loss(logits, label[None])[0]
        return value, (value, logits[0])

    of_each = vmap(grad(loss_of_one, has_aux=True), (None, 0, 0))

    def of_chunk(images: Tensor, labels: Tensor) -> list[Tensor]:
        with InsideVmap(), sdpa_kernel(SDPBackend.MATH):  # vmap supports no other attention kernel
            gradients, (losses, logits) = of_each(weights, images, labels)
        report.add(losses, logits, labels)
        return list(gradients.values())

    for images, labels in batches_in_order(job, subset, CHUNK):
        yield of_chunk(images, labels)
    report.finish()


class InsideVmap(TorchFunctionMode):
    """Works around limits of torch.func.vmap: memory formats (2.15), and BatchNorm on inputs of another dtype.

    Results change only in the rounding of bf16.
    """

    def __torch_function__(
        self, function: Any, types: Iterable[type], arguments: Any = (), keywords: dict[str, Any] | None = None
    ) -> Any:
        keywords = dict(keywords or {})
        if "memory_format" in keywords:
            keywords["memory_format"] = torch.contiguous_format
        if function is nn.functional.batch_norm:
            x, running_mean, *rest = arguments
            arguments = (x.to(running_mean.dtype), running_mean, *rest)
        return function(*arguments, **keywords)


def batches_in_order(job: Unlearning[Any], subset: Subset, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of at most `size` augmented images, uint8 (B, 3, H, W), and labels, int64 (B,)."""
    images, device = job.data.images["train"], job.data.device
    draws = job.augmenter.draws(len(subset), images.shape[1], "gradients", subset.name)
    draws = draws.to(device) if draws else None
    sizes = [part.stop - part.start for part in batch_slices(len(subset), size)]
    inputs = augmentation.augmented_batches(images, subset.indices.to(device), draws, job.augmenter.config, sizes)
    yield from zip(inputs, subset.labels.split(sizes), strict=True)


class Report:
    """Loss and accuracy of a pass without optimizer steps, summed on the device and read once at the end."""

    def __init__(self, job: Unlearning[Any], subset: Subset) -> None:
        self.job, self.subset, device = job, subset, job.data.device
        self.started = now(device)
        self.sums = torch.zeros(2, dtype=torch.float64, device=device)

    def add(self, losses: Tensor, logits: Tensor, labels: Tensor) -> None:
        self.sums += torch.stack([losses.detach().sum(), (logits.detach().argmax(1) == labels).sum()])

    def finish(self) -> None:
        """Report the pass, with learning rate 0. Raises Diverged if the loss is not finite."""
        loss, correct = (self.sums / len(self.subset)).tolist()
        if not isfinite(loss):
            raise Diverged(f"the original's loss on {self.subset.name} is {loss}; lower training.learning_rate.")
        seconds = now(self.job.data.device) - self.started
        self.job.on_epoch(Epoch(0, self.subset.name, loss, 100 * correct, 0.0, seconds, len(self.subset)))
