"""ℓ1-sparse unlearning (Jia et al. 2023, arXiv 2304.04934): finetuning on D_r with a decaying ℓ1 penalty."""

from dataclasses import dataclass

import torch
from torch import Tensor

from salun_grid.trainables.methods.base import Iterative, Method, PassCount, Unlearning
from salun_grid.trainables.settings import setting


@dataclass(frozen=True)
class L1Sparse(Iterative):
    """SGD with a constant learning rate."""

    learning_rate: float = setting(0.01, above=0, below=100, source="Unlearn-Sparse")
    alpha: float = setting(5e-4, at_least=0, below=1, doc="Weight of ‖θ‖₁ in the first epoch.", source="Unlearn-Sparse")


def l1_sparse(job: Unlearning[L1Sparse]) -> None:
    """Minimise CE_r + α (1 − e / E) ‖θ‖₁ in epoch e of E; the norm is over all parameters."""
    s, passes = job.settings, job.passes(job.sgd())

    def norm() -> Tensor:
        return torch.stack([weight.abs().sum() for weight in job.model.parameters()]).sum()

    for epoch in range(s.epochs):
        weight = s.alpha * (1 - epoch / s.epochs)
        passes.over(job.retain, epoch, penalty=lambda weight=weight: weight * norm())  # type: ignore[misc]


METHOD = Method(
    l1_sparse,
    L1Sparse,
    passes=lambda s: PassCount(retain=s.epochs),
    idea="Train on D_r with a decaying ℓ1 penalty.",
    paper="Jia et al. 2023, arXiv 2304.04934",
    version=1,
)
