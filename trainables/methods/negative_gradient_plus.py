"""NegGrad+ (Kurmanji et al. 2023, arXiv 2302.09880): descent on D_r and ascent on D_f in each step."""

from dataclasses import dataclass

from torch import Tensor

from salun_grid.trainables.methods.base import Iterative, Method, PassCount, Unlearning
from salun_grid.trainables.passes import Batch, cross_entropy
from salun_grid.trainables.settings import setting


@dataclass(frozen=True)
class NegativeGradientPlus(Iterative):
    """SGD over pairs of batches, one of D_r and one of D_f; D_f is reshuffled whenever it is used up.

    The official code instead repeats the batches of D_f within an epoch.
    """

    learning_rate: float = setting(0.01, above=0, below=100, source="DeepUnlearn")
    alpha: float = setting(0.95, at_least=0, at_most=1, doc="Weight of D_r; D_f has 1 − alpha.", source="DeepUnlearn")


def negative_gradient_plus(job: Unlearning[NegativeGradientPlus]) -> None:
    """Minimise α · CE_r − (1 − α) · CE_f. With α = 1 no batch of D_f is used, as in `finetune`."""
    alpha, passes = job.settings.alpha, job.passes(job.sgd())

    def loss(forget: Batch, retain: Batch) -> Tensor:
        descent = alpha * cross_entropy(retain).mean()
        return descent - (1 - alpha) * cross_entropy(forget).mean() if alpha < 1 else descent

    for epoch in range(job.settings.epochs):
        passes.over_pairs(job.forget, job.retain, epoch, loss)


METHOD = Method(
    negative_gradient_plus,
    NegativeGradientPlus,
    passes=lambda s: PassCount(retain=s.epochs, paired=s.epochs),
    idea="Minimise the loss on D_r and maximise it on D_f in each step.",
    paper="Kurmanji et al. 2023, arXiv 2302.09880",
    version=1,
)
