"""Finetuning on D_r alone (Warnecke et al. 2023; Golatkar et al. 2020), which relies on catastrophic forgetting."""

from dataclasses import dataclass

from salun_grid.trainables.methods.base import Iterative, Method, PassCount, Unlearning
from salun_grid.trainables.settings import setting


@dataclass(frozen=True)
class Finetune(Iterative):
    """SGD with a constant learning rate."""

    learning_rate: float = setting(0.01, above=0, below=100, source="SalUn's code")


def finetune(job: Unlearning[Finetune]) -> None:
    """Minimise the cross-entropy on D_r."""
    passes = job.passes(job.sgd())
    for epoch in range(job.settings.epochs):
        passes.over(job.retain, epoch)


METHOD = Method(
    finetune,
    Finetune,
    passes=lambda s: PassCount(retain=s.epochs),
    idea="Train on D_r.",
    paper="Warnecke et al. 2023, arXiv 2108.11577",
    version=1,
)
