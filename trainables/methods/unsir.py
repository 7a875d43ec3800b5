"""UNSIR (Tarun et al. 2023, arXiv 2111.08947): replace a class's images by error-maximising noise.

Follows the official notebook with three departures: the original is in eval mode while the noise is learned; the noise
is repeated to the size of D_f, whereas the notebook uses 20 copies (5,120 images for CIFAR-10's 5,000); and the sample
of D_r is random, whereas the notebook takes the first 1,000 images of each class.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from salun_grid.trainables.methods.base import Method, PassCount, Settings, Unlearning
from salun_grid.trainables.methods.substitution import substitute
from salun_grid.trainables.passes import Batch, Passes, Totals, cross_entropy
from salun_grid.trainables.protocol import ModelConfig
from salun_grid.trainables.settings import setting

OFFICIAL = "official code"


@dataclass(frozen=True)
class Unsir(Settings):
    """Adam, with a new optimizer for each of the three stages."""

    gentler: ClassVar[tuple[str, str]] = ("lower", "impair_learning_rate")

    batch_size: int = setting(256, at_least=2, unit="images", source=OFFICIAL)
    noise_steps: int = setting(40, at_least=0, below=100_000, unit="steps", source=OFFICIAL)
    noise_learning_rate: float = setting(0.1, above=0, below=100, source=OFFICIAL)
    noise_penalty: float = setting(0.1, at_least=0, below=1000, doc="Weight of ‖noise‖².", source=OFFICIAL)
    impair_epochs: int = setting(1, at_least=0, unit="passes", source=OFFICIAL)
    impair_learning_rate: float = setting(0.02, above=0, below=100, source=OFFICIAL)
    repair_epochs: int = setting(1, at_least=0, unit="passes", source=OFFICIAL)
    repair_learning_rate: float = setting(0.01, above=0, below=100, source=OFFICIAL)
    retain_fraction: float = setting(
        0.2,
        above=0,
        at_most=1,
        doc="Fraction of D_r used, drawn once.",
        source="official code: 1,000 of 5,000 images of a class",
    )


def unsir(job: Unlearning[Unsir]) -> None:
    """Impair by training on the noise, labelled as D_f, and a sample of D_r; repair by training on the sample."""
    s, some = job.settings, job.some_of_retain(job.settings.retain_fraction, "unsir")
    passes = job.passes(torch.optim.Adam(job.model.parameters(), lr=s.impair_learning_rate))
    noise, labels = learned_noise(job, passes)
    forget = job.forget.relabelled(labels[torch.arange(len(job.forget), device=labels.device) % len(labels)])
    both = forget.joined(some, "impair")
    for epoch in range(s.impair_epochs):
        passes.over(both, epoch, loss=lambda batch: cross_entropy(substitute(batch, noise, len(forget))))
    passes = job.passes(torch.optim.Adam(job.model.parameters(), lr=s.repair_learning_rate))
    for epoch in range(s.repair_epochs):
        passes.over(some, epoch)


def learned_noise(job: Unlearning[Unsir], passes: Passes) -> tuple[Tensor, Tensor]:
    """A batch of noise, float (B, 3, H, W), that maximises the original's loss, and its labels. Reports one pass.

    The labels are those of the first images of D_f, repeated if it has fewer. The noise is in normalised units, so its
    pixels may lie outside [0, 1].
    """
    s, config, model = job.settings, pixel_config(job.model), job.model.eval()
    device, count, side = job.data.device, s.batch_size, job.data.images["train"].shape[1]
    labels = job.forget.labels[torch.arange(count, device=device) % len(job.forget)]
    noise = torch.randn(count, 3, side, side, generator=job.generator("unsir", "noise")).to(device).requires_grad_()
    optimizer = torch.optim.Adam([noise], lr=s.noise_learning_rate)
    totals = Totals(passes, "attack", 0)
    for _ in range(s.noise_steps):
        batch = Batch(model, noise * config.pixel_std + config.pixel_mean, labels, torch.arange(count, device=device))
        loss = s.noise_penalty * noise.square().sum((1, 2, 3)).mean() - cross_entropy(batch).mean()
        totals.add(loss, batch, count)
        (noise.grad,) = torch.autograd.grad(loss, noise)
        optimizer.step()
    if s.noise_steps:
        totals.finish(s.noise_steps * count)
    return noise.detach() * config.pixel_std + config.pixel_mean, labels


def pixel_config(model: Any) -> ModelConfig:
    """The model's config, which has the mean and deviation of its pixel normalisation."""
    return model.config


METHOD = Method(
    unsir,
    Unsir,
    passes=lambda s: PassCount(
        forget=s.impair_epochs,
        retain=s.retain_fraction * (s.impair_epochs + s.repair_epochs),
        other=s.noise_steps * s.batch_size,
    ),
    idea="Train on error-maximising noise in place of D_f, then repair on a sample of D_r.",
    paper="Tarun et al. 2023, arXiv 2111.08947",
    forget_rules=("class",),
    version=1,
)
