"""Convolution transpose: fifth in the NeurIPS 2023 unlearning challenge (Cadet et al. 2024, arXiv 2410.01276).

Transposed kernels no longer fit their inputs, and finetuning on D_r mends them. This is DeepUnlearn's code.
"""

from dataclasses import dataclass
from math import cos, pi

import torch
from torch import nn

from salun_grid.trainables.methods.base import Iterative, Method, PassCount, Unlearning
from salun_grid.trainables.settings import setting

CODE = "DeepUnlearn"


@dataclass(frozen=True)
class ConvolutionTranspose(Iterative):
    """SGD whose learning rate falls to 0 as a cosine, by epoch."""

    epochs: int = setting(3, at_least=1, unit="passes", source=CODE)
    batch_size: int = setting(64, at_least=2, unit="images", source=CODE)
    learning_rate: float = setting(1e-3, above=0, below=100, doc="Of the first epoch.", source=CODE)


def ct(job: Unlearning[ConvolutionTranspose]) -> None:
    """Transpose each convolution's kernels, height against width, and minimise CE_r."""
    s, optimizer = job.settings, job.sgd()
    passes = job.passes(optimizer)
    transpose_kernels(job.model)
    for epoch in range(s.epochs):
        for group in optimizer.param_groups:
            group["lr"] = s.learning_rate * (1 + cos(pi * epoch / s.epochs)) / 2
        passes.over(job.retain, epoch)


@torch.no_grad()
def transpose_kernels(model: nn.Module) -> None:
    """Transpose the kernels of every convolution in place; those that are not square stay as they are."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size[0] == module.kernel_size[1]:
            module.weight.copy_(module.weight.transpose(2, 3).clone())


METHOD = Method(
    ct,
    ConvolutionTranspose,
    passes=lambda s: PassCount(retain=s.epochs),
    idea="Transpose the convolution kernels, and train on D_r.",
    paper="Cadet et al. 2024, arXiv 2410.01276",
    takes_mask=False,
    version=1,
)
