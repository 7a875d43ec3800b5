"""Boundary shrink (Chen et al. 2023, arXiv 2303.11570): train D_f on the labels of the nearest classes.

The nearest class of an image is the original's prediction for its adversarial image after one FGSM step. As in the
official code, each epoch attacks the augmented images, and the adversarial image is rounded to 8 bits.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from salun_grid.trainables.methods.base import Iterative, Method, PassCount, Unlearning
from salun_grid.trainables.passes import Batch, Passes, Totals, cross_entropy
from salun_grid.trainables.settings import setting

OFFICIAL = "official code"


@dataclass(frozen=True)
class BoundaryShrink(Iterative):
    """SGD with a constant learning rate, on D_f alone."""

    batch_size: int = setting(64, at_least=2, unit="images", source=OFFICIAL)
    learning_rate: float = setting(1e-5, above=0, below=100, source=OFFICIAL)
    weight_decay: float = setting(0.0, at_least=0, below=1, source=OFFICIAL)
    bound: float = setting(
        0.1, above=0, at_most=1, unit="fraction of the pixel range", doc="Step size of the attack.", source=OFFICIAL
    )


def boundary_shrink(job: Unlearning[BoundaryShrink]) -> None:
    """Minimise the cross-entropy on D_f to the original's prediction for the attacked image."""
    passes = job.passes(job.sgd())
    for epoch in range(job.settings.epochs):
        passes.over(job.forget.relabelled(nearest_labels(job, passes, epoch)), epoch)


def nearest_labels(job: Unlearning[BoundaryShrink], passes: Passes, epoch: int) -> Tensor:
    """The original's predictions for the attacked images of an epoch's pass over D_f, int64 (|D_f|,).

    Reports a pass `attack`, whose accuracy is the percentage of images whose prediction is still the true label.
    """
    original, totals = job.teachers["original"], Totals(passes, "attack", epoch)
    nearest = torch.empty_like(job.forget.labels)
    for num_images, batch in passes.batches(job.forget, epoch):
        images = fast_gradient_sign(original, batch.images, batch.labels, job.settings.bound)
        attacked = Batch(original, images, batch.labels, batch.places)
        with torch.no_grad():
            totals.add(cross_entropy(attacked).mean(), attacked, num_images)
            nearest[batch.places] = attacked.logits.argmax(1)
    totals.finish(len(job.forget))
    return nearest


def fast_gradient_sign(model: nn.Module, images: Tensor, labels: Tensor, bound: float) -> Tensor:
    """FGSM (Goodfellow et al. 2015): `images` moved by `bound` of the pixel range up the loss; uint8 (B, 3, H, W)."""
    pixels = (images / 255).requires_grad_(True)
    loss = nn.functional.cross_entropy(model(pixels), labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, pixels)
    return (images + 255 * bound * gradient.sign()).round().clamp(0, 255).to(torch.uint8)


METHOD = Method(
    boundary_shrink,
    BoundaryShrink,
    # An attack is a forward pass, a backward pass to the pixels and another forward pass, a third of a pass each.
    passes=lambda s: PassCount(forget=2 * s.epochs),
    idea="Train D_f on the labels of the nearest classes, found by an attack.",
    paper="Chen et al. 2023, arXiv 2303.11570",
    teachers=("original",),
    version=1,
)
