"""AMUN (Ebrahimpour-Boroojeny et al. 2025, arXiv 2503.00917): train on adversarial images of D_f.

As in the official code, the attack is projected gradient ascent in an ℓ2 ball whose radius doubles until the image is
misclassified. Here it doubles every 10 steps, not 50, for a fixed number of steps, so that the cost is known, and the
learning rate is constant, whereas the official code optionally decays it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from salun_grid.trainables import augmentation
from salun_grid.trainables.methods.base import Iterative, Method, PassCount, Unlearning
from salun_grid.trainables.methods.substitution import substitute
from salun_grid.trainables.passes import Batch, Passes, Totals, batch_slices, cross_entropy
from salun_grid.trainables.resident import Subset
from salun_grid.trainables.settings import setting

STEPS_A_RADIUS = 10


@dataclass(frozen=True)
class Amun(Iterative):
    """SGD with a constant learning rate."""

    learning_rate: float = setting(0.01, above=0, below=100, source="the paper")
    retain: bool = setting(True, doc="Whether each epoch also passes over D_r.", source="the paper, which has both")
    attack_radius: float = setting(
        0.04,
        above=0,
        below=100,
        unit="ℓ2 norm, pixels in [0, 1]",
        doc="Radius for the first 10 steps.",
        source="official code",
    )
    attack_steps: int = setting(
        60, at_least=1, below=1000, unit="passes over D_f", doc="The radius doubles every 10.", source="this project"
    )


def amun(job: Unlearning[Amun]) -> None:
    """Minimise the cross-entropy on the adversarial images of D_f with their wrong labels, and on D_r.

    The adversarial images are computed once, without augmentation, and are not augmented in training.
    """
    s, passes = job.settings, job.passes(job.sgd())
    images, labels = adversarial_set(job, passes)
    subset = job.forget.relabelled(labels)
    subset = subset.joined(job.retain, "mixed") if s.retain else subset
    for epoch in range(s.epochs):
        passes.over(subset, epoch, loss=lambda batch: cross_entropy(substitute(batch, images, len(images))))


def adversarial_set(job: Unlearning[Amun], passes: Passes) -> tuple[Tensor, Tensor]:
    """Adversarial images of D_f, float (|D_f|, 3, H, W), and their wrong labels (|D_f|,). Reports one pass."""
    s, forget, model = job.settings, job.forget, job.model.eval()
    totals, found, wrong = Totals(passes, "attack", 0), [], []
    for part in batch_slices(len(forget), s.batch_size):
        batch = attacked(model, images_of(job, forget, part), forget.labels[part], s.attack_radius, s.attack_steps)
        totals.add(cross_entropy(batch).mean(), batch, len(batch))
        found.append(batch.images)
        wrong.append(nearest_wrong(batch.logits, batch.labels))
    totals.finish(len(forget), round(len(forget) * (s.attack_steps + 1 / 3)))
    return torch.cat(found), torch.cat(wrong)


def images_of(job: Unlearning[Amun], subset: Subset, part: slice) -> Tensor:
    """Images of a subset without augmentation, float (B, 3, H, W) in [0, 1]."""
    chosen = subset.indices[part].to(job.data.device)
    return augmentation.apply(job.data.images["train"][chosen], None, job.augmenter.config) / 255


def attacked(model: nn.Module, images: Tensor, labels: Tensor, radius: float, steps: int) -> Batch:
    """`images` moved up the loss until `model` no longer predicts their labels, as a batch with its logits."""
    adversarial = images
    for step in range(steps):
        current = radius * 2 ** (step // STEPS_A_RADIUS)
        adversarial = adversarial.detach().requires_grad_()
        logits = model(adversarial)
        (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(logits, labels, reduction="sum"), adversarial)
        ahead = adversarial.detach() + current / STEPS_A_RADIUS * gradient / norms(gradient)
        delta = ahead - images
        inside = (images + delta * (current / norms(delta)).clamp(max=1)).clamp(0, 1)
        still_right = (logits.argmax(1) == labels)[:, None, None, None]
        adversarial = torch.where(still_right, inside, adversarial.detach())
    batch = Batch(model, adversarial, labels, torch.arange(len(labels), device=labels.device))
    with torch.no_grad():
        _ = batch.logits  # cached in the batch
    return batch


def norms(images: Tensor) -> Tensor:
    """The ℓ2 norm of each image, clamped above 0, (B, 1, 1, 1)."""
    return images.flatten(1).norm(dim=1).clamp(min=1e-10)[:, None, None, None]


def nearest_wrong(logits: Tensor, labels: Tensor) -> Tensor:
    """The most likely wrong label, int64 (B,), which is the prediction itself if that is wrong."""
    return logits.scatter(1, labels[:, None], -torch.inf).argmax(1)


METHOD = Method(
    amun,
    Amun,
    passes=lambda s: PassCount(forget=s.epochs + s.attack_steps + 1 / 3, retain=s.epochs * s.retain),
    idea="Train on adversarial images of D_f with their wrong labels, and on D_r.",
    paper="Ebrahimpour-Boroojeny et al. 2025, arXiv 2503.00917",
    version=1,
)
