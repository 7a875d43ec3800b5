"""SFR-on (Huang et al. 2024, arXiv 2409.19732): occasional weighted ascent steps on D_f between steps on D_r.

Follows the official code, which squares the gradient of each batch, whereas the paper's Fisher information is over
single images. Its average of slow and fast weights has no effect at its default (β = 1) and is omitted. Its cosine
schedule counts steps, this one images; they differ if the last batch is smaller.
"""

from dataclasses import dataclass
from math import cos, pi

import torch
from torch import Tensor, nn

from salun_grid.trainables import augmentation
from salun_grid.trainables.methods.base import Iterative, Method, PassCount, Unlearning
from salun_grid.trainables.optimizers import Mask, set_learning_rate
from salun_grid.trainables.passes import Batch, Passes, Totals, batch_slices, cross_entropy
from salun_grid.trainables.resident import Subset
from salun_grid.trainables.settings import setting

OFFICIAL, TINY = "official code, CIFAR-10 at 10 %", 1e-15


@dataclass(frozen=True)
class SFRon(Iterative):
    """SGD; the learning rate and the weight of the ascent fall to 0 along a cosine."""

    epochs: int = setting(8, at_least=1, unit="passes over D_r", source="official code: 1,500 steps, 8.5 passes")
    learning_rate: float = setting(0.01, above=0, below=100, source=OFFICIAL)
    forget_every: int = setting(
        5, at_least=1, below=10_000, unit="steps", doc="Steps on D_r per ascent step.", source=OFFICIAL
    )
    alpha: float = setting(25.0, at_least=0, below=10_000, doc="Initial weight of the ascent.", source=OFFICIAL)
    focus: float = setting(
        0.5, at_least=0, below=100, doc="λ: an image's ascent is weighted by CE^−λ.", source=OFFICIAL
    )
    max_norm: float = setting(
        7.0, above=0, below=10_000, doc="Clipping norm of the ascent's gradient.", source=OFFICIAL
    )
    ratio: float = setting(
        1.0,
        at_least=0,
        below=10_000,
        doc="γ: the ascent changes weights whose F_f is at least γ · F_r.",
        source=OFFICIAL,
    )


def sfron(job: Unlearning[SFRon]) -> None:
    """Minimise CE_r; every few steps, first ascend the weighted CE_f on the weights that matter more to D_f."""
    s, passes = job.settings, job.passes(job.sgd())
    salient, forget = salient_weights(job, passes), passes.endless(job.forget, 0)
    step = 0
    for epoch in range(s.epochs):
        totals, seen, ascended = Totals(passes, job.retain.name, epoch), 0, 0
        for size, batch in passes.batches(job.retain, epoch):
            fading = (1 + cos(pi * (epoch + seen / len(job.retain)) / s.epochs)) / 2
            set_learning_rate(passes.optimizer, s.learning_rate * fading)
            if step % s.forget_every == 0:
                other = next(forget)
                ascend(job, passes, s.alpha * fading * weighted_loss(other, s.focus), salient)
                ascended += len(other)
            loss = cross_entropy(batch).mean()
            totals.add(loss, batch, size)
            passes.step(loss)
            seen, step = seen + size, step + 1
        totals.finish(len(job.retain), seen + ascended)


def weighted_loss(batch: Batch, focus: float) -> Tensor:
    """The mean cross-entropy with each image weighted by CE^−focus; no gradient passes through the weights."""
    losses = cross_entropy(batch)
    weights = 1 / (losses.detach() ** focus + TINY)
    return (weights * losses).sum() / weights.sum()


def ascend(job: Unlearning[SFRon], passes: Passes, loss: Tensor, salient: Mask) -> None:
    """One ascent step on `loss` with the clipped gradient of the `salient` weights alone."""
    passes.optimizer.zero_grad(set_to_none=True)
    (-loss).backward()
    weights = list(job.model.parameters())
    for weight, kept in zip(weights, salient, strict=True):
        if weight.grad is not None:
            weight.grad *= kept
    nn.utils.clip_grad_norm_(weights, job.settings.max_norm)
    passes.optimizer.step()


def salient_weights(job: Unlearning[SFRon], passes: Passes) -> Mask:
    """The weights whose squared gradients on D_f are at least `ratio` times those on D_r."""
    forget, retain = (squared_gradients(job, passes, subset) for subset in (job.forget, job.retain))
    return [(f + TINY) / (r + TINY) >= job.settings.ratio for f, r in zip(forget, retain, strict=True)]


def squared_gradients(job: Unlearning[SFRon], passes: Passes, subset: Subset) -> list[Tensor]:
    """The mean over batches of (∂ mean cross-entropy / ∂ weight)² per parameter, in eval mode. Reports a pass."""
    model, images, device = job.model.eval(), job.data.images["train"], job.data.device
    sizes = [part.stop - part.start for part in batch_slices(len(subset), job.settings.batch_size)]
    draws = job.augmenter.draws(len(subset), images.shape[1], "fisher", subset.name)
    draws = draws.to(device) if draws else None
    inputs = augmentation.augmented_batches(images, subset.indices.to(device), draws, job.augmenter.config, sizes)
    places = torch.arange(len(subset), device=device)
    totals, weights = Totals(passes, "sample", 0), list(model.parameters())
    sums = [torch.zeros_like(weight) for weight in weights]
    for x, y, place in zip(inputs, subset.labels.split(sizes), places.split(sizes), strict=True):
        batch = Batch(model, x, y, place)
        loss = cross_entropy(batch).mean()
        totals.add(loss, batch, len(batch))
        squares = torch._foreach_pow(torch.autograd.grad(loss, weights), 2)
        torch._foreach_add_(sums, squares)
    totals.finish(len(subset))
    return [total / len(sizes) for total in sums]


METHOD = Method(
    sfron,
    SFRon,
    passes=lambda s: PassCount(forget=1, retain=s.epochs + 1, paired=s.epochs / s.forget_every),
    idea="Train on D_r, with occasional weighted ascent steps on D_f.",
    paper="Huang et al. 2024, arXiv 2409.19732",
    version=1,
)
