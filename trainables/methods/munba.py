"""MUNBa (Wu & Harandi 2025, arXiv 2411.15537): each step is the Nash bargain of the forget and retain gradients.

Nash's solution for the two gradients g_r and g_f is α with Kα = 1/α, where K holds their dot products. Its closed form
is α_i = 1 / (‖g_i‖ √(1 + cos)), with cos the cosine between them, so that α_r g_r + α_f g_f is the sum of the two unit
vectors over √(1 + cos). Its norm is always √2, and the official clipping at 1 makes it a unit vector. The official
code computes the same in a less accurate form, with 1e-8 in two denominators.
"""

from dataclasses import dataclass
from itertools import zip_longest

import torch
from torch import Tensor, nn

from salun_grid.trainables.methods.base import Iterative, Method, PassCount, Unlearning
from salun_grid.trainables.methods.random_label import draw_labels
from salun_grid.trainables.passes import Passes, Totals, cross_entropy
from salun_grid.trainables.settings import setting

# Below OPPOSED, 1 + cos counts as 0: the gradients oppose each other, and no step reduces both losses.
OPPOSED, WITHOUT_BARGAIN = 1e-6, (1.0, 0.1)


@dataclass(frozen=True)
class Munba(Iterative):
    """SGD with a constant learning rate."""

    learning_rate: float = setting(0.01, above=0, below=100, source="the paper")
    max_norm: float = setting(
        1.0, above=0, below=10_000, doc="Clipping norm of the bargained gradient.", source="official code"
    )


def munba(job: Unlearning[Munba]) -> None:
    """In each step, bargain between CE_r and CE_f to random labels, redrawn each epoch as in `random_label`.

    As in the official code, batches of D_r and D_f are paired; unpaired batches are separate steps.
    """
    passes = job.passes(job.sgd())
    for epoch in range(job.settings.epochs):
        labels = draw_labels(len(job.forget), job.data.num_classes, job.seeds.unlearning, epoch)
        retain = passes.batches(job.retain, epoch)
        forget = passes.batches(job.forget.relabelled(labels), epoch)
        totals = Totals(passes, "forget+retain", epoch)
        for pair in zip_longest(retain, forget):
            batches = [sized[1] for sized in pair if sized is not None]
            losses = [cross_entropy(batch).mean() for batch in batches]
            for loss, batch in zip(losses, batches, strict=True):
                totals.add(loss, batch, len(batch))
            take_step(job, passes, losses)
        totals.finish(len(job.retain) + len(job.forget))


def take_step(job: Unlearning[Munba], passes: Passes, losses: list[Tensor]) -> None:
    """Step along the clipped bargained gradient of two losses, or the plain gradient of one."""
    if len(losses) == 1:
        passes.step(losses[0])
        return
    weights = list(job.model.parameters())
    gradients = [torch.autograd.grad(loss, weights) for loss in losses]
    shares = bargain(*(torch.cat([part.flatten() for part in gradient]) for gradient in gradients))
    for weight, retain, forget in zip(weights, *gradients, strict=True):
        weight.grad = shares[0] * retain + shares[1] * forget
    nn.utils.clip_grad_norm_(weights, job.settings.max_norm)
    passes.optimizer.step()


def bargain(retain: Tensor, forget: Tensor) -> Tensor:
    """α_r and α_f, float (2,), of two gradients (N,); the official code's 1 and 0.1 if they oppose or vanish."""
    lengths = torch.stack([retain.norm(), forget.norm()])
    agreement = 1 + retain.dot(forget) / lengths.prod()
    found = 1 / (lengths * agreement.clamp(min=OPPOSED).sqrt())
    # A zero gradient makes the agreement NaN, which compares as False.
    return torch.where(agreement > OPPOSED, found, lengths.new_tensor(WITHOUT_BARGAIN))


METHOD = Method(
    munba,
    Munba,
    passes=lambda s: PassCount(forget=s.epochs, retain=s.epochs),
    idea="Nash bargain in each step between random labels on D_f and the true ones on D_r.",
    paper="Wu & Harandi 2025, arXiv 2411.15537",
    version=1,
)
