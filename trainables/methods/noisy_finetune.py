"""Certified unlearning by noisy finetuning (Koloskova et al. 2025, arXiv 2506.06985), with clipped gradients.

The certificate: in exact arithmetic, and to anyone who does not know the unlearning seed, the result is
(ε, δ)-indistinguishable from that of the same procedure on a model trained without D_f. It makes no assumptions about
the loss or that training.

Proof sketch: clipped to the norm C₀, two models are at most 2 C₀ apart. A step on the same batch of D_r, clipped to
C₁, adds at most 2 γ C₁ to that distance, and its noise N(0, σ²) hides a part aₜ of it at a Rényi divergence of
α aₜ² / (2 σ²): the shift reduction of Feldman et al. 2018, arXiv 1808.06651. T equal parts of the total distance sum to
ρ α, with ρ = (2 C₀ + 2 γ C₁ T)² / (2 σ² T), and so to ε = ρ + 2 √(ρ ln 1/δ) (Bun & Steinke 2016, arXiv
1605.02065, Proposition 1.3). σ follows from ε and δ by this bound, not by the paper's theorem. The noisy steps use
neither momentum nor weight decay, which the bound does not cover; a mask would leave weights without noise.

The remaining steps use only θ and D_r and so keep the certificate: BatchNorm's running statistics are reset, and plain
finetuning recovers accuracy. The paper applies the method to the last layers on frozen features. With the millions of
weights of a whole network the noise leaves little of the original, and the result is a short training on D_r.
"""

from dataclasses import dataclass
from math import log, sqrt
from typing import Any

import torch
from torch import nn

from salun_grid.trainables.methods.base import Iterative, Method, PassCount, Unlearning
from salun_grid.trainables.optimizers import sgd
from salun_grid.trainables.passes import Totals, cross_entropy
from salun_grid.trainables.settings import setting

OWN = "this project: the noise has the size of a fresh initialisation"


@dataclass(frozen=True)
class NoisyFinetune(Iterative):
    """SGD; the settings of Iterative apply to the finetuning without noise."""

    learning_rate: float = setting(0.01, above=0, below=100, source="as finetune")
    epsilon: float = setting(1.0, above=0, below=1000, doc="ε of the certificate.", source="the paper")
    delta: float = setting(1e-5, above=0, below=1, doc="δ of the certificate.", source="the paper")
    start_norm: float = setting(
        0.01, above=0, below=1e6, doc="C₀, the clipping norm of the original's weights.", source=OWN
    )
    max_norm: float = setting(1.0, above=0, below=1e6, doc="C₁, the clipping norm of the gradients.", source=OWN)
    noisy_epochs: int = setting(1, at_least=1, unit="passes over D_r", source=OWN)
    noisy_learning_rate: float = setting(1e-5, above=0, below=100, doc="γ of the noisy steps.", source=OWN)


def noisy_finetune(job: Unlearning[NoisyFinetune]) -> None:
    """Clip the weights, take noisy steps along the clipped gradient of CE_r, then `finetune`."""
    s, model = job.settings, job.model
    optimizer = sgd(model, s.noisy_learning_rate)
    passes, noise, weights = job.passes(optimizer), job.generator("noisy_finetune"), list(model.parameters())
    steps = s.noisy_epochs * len(passes.slices(job.retain))
    deviation = noise_deviation(s.epsilon, s.delta, s.start_norm, s.noisy_learning_rate * s.max_norm, steps)
    clip_weights(weights, s.start_norm)
    for epoch in range(s.noisy_epochs):
        totals = Totals(passes, job.retain.name, epoch)
        for size, batch in passes.batches(job.retain, epoch):
            loss = cross_entropy(batch).mean()
            totals.add(loss, batch, size)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(weights, s.max_norm)
            optimizer.step()
            add_noise(weights, deviation, noise)
        totals.finish(len(job.retain))
    forget_running_statistics(model)
    passes = job.passes(job.sgd())
    for epoch in range(s.noisy_epochs, s.noisy_epochs + s.epochs):
        passes.over(job.retain, epoch)


def noise_deviation(epsilon: float, delta: float, start_norm: float, longest_step: float, steps: int) -> float:
    """σ of the noise of each step that makes the result (ε, δ)-indistinguishable; `longest_step` is γ C₁."""
    root_of_rho = sqrt(log(1 / delta) + epsilon) - sqrt(log(1 / delta))
    return 2 * (start_norm + longest_step * steps) / (root_of_rho * sqrt(2 * steps))


@torch.no_grad()
def clip_weights(weights: list[nn.Parameter], norm: float) -> None:
    """Scale all weights by one factor so that their joint norm is at most `norm`."""
    found = torch.stack([weight.norm() for weight in weights]).norm()
    scale = (norm / found).clamp(max=1)
    for weight in weights:
        weight.mul_(scale)


@torch.no_grad()
def add_noise(weights: list[nn.Parameter], deviation: float, random: torch.Generator) -> None:
    """Add independent N(0, deviation²) noise, drawn on the CPU, to each weight."""
    for weight in weights:
        weight.add_(torch.randn(weight.shape, generator=random).to(weight.device), alpha=deviation)


def forget_running_statistics(model: nn.Module) -> None:
    """Reset BatchNorm's running statistics, which depend on D_f and get no noise."""
    for module in model.modules():
        normalisation: Any = module
        if isinstance(module, nn.modules.batchnorm._NormBase):
            normalisation.reset_running_stats()


METHOD = Method(
    noisy_finetune,
    NoisyFinetune,
    passes=lambda s: PassCount(retain=s.noisy_epochs + s.epochs),
    idea="Add noise while training on D_r, with an (ε, δ) certificate.",
    paper="Koloskova et al. 2025, arXiv 2506.06985",
    takes_mask=False,
    version=1,
)
