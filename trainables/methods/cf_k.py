"""CF-k (Goel et al. 2022, arXiv 2201.06640): finetune only the last k blocks on D_r."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn

from salun_grid.trainables.methods.base import Iterative, Method, PassCount, Unlearning
from salun_grid.trainables.settings import setting


@dataclass(frozen=True)
class LastBlocks(Iterative):
    """Settings of a method that trains the last k blocks only."""

    learning_rate: float = setting(0.01, above=0, below=100, source="the paper")
    k: int = setting(
        1,
        at_least=1,
        below=1000,
        unit="blocks",
        doc="Number of blocks trained; 1 is the last layer alone.",
        source="the paper",
    )


@dataclass(frozen=True)
class CatastrophicForgettingK(LastBlocks):
    """SGD with a constant learning rate; BatchNorm's running statistics follow D_r in every block."""


def cf_k(job: Unlearning[CatastrophicForgettingK]) -> None:
    """Minimise CE_r over the weights of the last k blocks; with all blocks, this is `finetune`."""
    passes = job.passes(job.sgd())
    with only_last_blocks(job.model, job.settings.k):
        for epoch in range(job.settings.epochs):
            passes.over(job.retain, epoch)


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """The child modules that have weights, in order."""
    return [child for child in model.children() if any(True for _ in child.parameters())]


@contextmanager
def only_last_blocks(model: nn.Module, k: int) -> Iterator[None]:
    """Freeze all but the last k blocks within the context."""
    frozen = [weight for block in blocks_of(model)[:-k] for weight in block.parameters()]
    for weight in frozen:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in frozen:
            weight.requires_grad_(True)


METHOD = Method(
    cf_k,
    CatastrophicForgettingK,
    passes=lambda s: PassCount(retain=s.epochs),
    idea="Train the last k blocks on D_r.",
    paper="Goel et al. 2022, arXiv 2201.06640",
    version=1,
)
