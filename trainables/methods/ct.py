"""Convolution transpose: fifth in the NeurIPS 2023 unlearning challenge (Cadet et al. 2024, arXiv 2410.01276).

Transposing the kernels damages the network, and finetuning on D_r repairs it. Follows DeepUnlearn's code.
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
    """SGD with cosine decay of the learning rate to 0, per epoch."""

    epochs: int = setting(3, at_least=1, unit="passes", source=CODE)
    batch_size: int = setting(64, at_least=2, unit="images", source=CODE)
    learning_rate: float = setting(1e-3, above=0, below=100, doc="Initial learning rate.", source=CODE)


def ct(job: Unlearning[ConvolutionTranspose]) -> None:
    """Transpose the kernels of each convolution, swapping height and width, then minimise CE_r."""
    s, optimizer = job.settings, job.sgd()
    passes = job.passes(optimizer)
    transpose_kernels(job.model)
    for epoch in range(s.epochs):
        for group in optimizer.param_groups:
            group["lr"] = s.learning_rate * (1 + cos(pi * epoch / s.epochs)) / 2
        passes.over(job.retain, epoch)


@torch.no_grad()
def transpose_kernels(model: nn.Module) -> None:
    """Transpose the kernels of every convolution in place, except non-square ones."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size[0] == module.kernel_size[1]:
            module.weight.copy_(module.weight.transpose(2, 3).clone())


METHOD = Method(
    ct,
    ConvolutionTranspose,
    passes=lambda s: PassCount(retain=s.epochs),
    idea="Transpose the convolution kernels, then train on D_r.",
    paper="Cadet et al. 2024, arXiv 2410.01276",
    takes_mask=False,
    version=1,
)
