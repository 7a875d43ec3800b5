"""Gradient ascent on D_f (Graves et al. 2021; Thudi et al. 2022)."""

from dataclasses import dataclass

from salun_grid.trainables.methods.base import Iterative, Method, PassCount, Unlearning
from salun_grid.trainables.passes import cross_entropy
from salun_grid.trainables.settings import setting


@dataclass(frozen=True)
class GradientAscent(Iterative):
    """SGD; the loss is unbounded, so a larger learning rate or more epochs quickly reduce a model to chance."""

    epochs: int = setting(5, at_least=1, unit="passes", source="SalUn's code")
    learning_rate: float = setting(1e-4, above=0, below=100, source="SalUn's code")


def gradient_ascent(job: Unlearning[GradientAscent]) -> None:
    """Maximise the cross-entropy on D_f."""
    passes = job.passes(job.sgd())
    for epoch in range(job.settings.epochs):
        passes.over(job.forget, epoch, loss=lambda batch: -cross_entropy(batch))


METHOD = Method(
    gradient_ascent,
    GradientAscent,
    passes=lambda s: PassCount(forget=s.epochs),
    idea="Maximise the loss on D_f.",
    paper="Graves et al. 2021, arXiv 2010.10981; Thudi et al. 2022, arXiv 2109.13398",
    version=1,
)
