"""DELETE (Zhou et al. 2025, arXiv 2503.23751): distil the original on D_f without the true class.

Follows the official code: −10¹⁰ for the logit of the true class, SGD without weight decay, BatchNorm in train mode. It
needs only D_f and supports only whole classes.
"""

from dataclasses import dataclass

from torch import Tensor

from salun_grid.trainables.methods.base import Iterative, Method, PassCount, Unlearning
from salun_grid.trainables.methods.distillation import divergence, teach
from salun_grid.trainables.passes import Batch
from salun_grid.trainables.settings import setting

STRUCK_OUT = -1e10


@dataclass(frozen=True)
class Delete(Iterative):
    """SGD with a constant learning rate."""

    epochs: int = setting(20, at_least=1, unit="passes", source="the paper")
    batch_size: int = setting(128, at_least=2, unit="images", source="the paper")
    learning_rate: float = setting(1e-4, above=0, below=100, source="the paper")
    weight_decay: float = setting(0.0, at_least=0, below=1, source="official code")


def delete(job: Unlearning[Delete]) -> None:
    """Minimise KL(p₀ ‖ p) on D_f, where p₀ is the original's prediction with the true class set to probability 0."""
    passes, teacher = job.passes(job.sgd()), job.teachers["original"]

    def loss(batch: Batch) -> Tensor:
        return divergence(teach(teacher, batch).scatter(1, batch.labels[:, None], STRUCK_OUT), batch.logits)

    for epoch in range(job.settings.epochs):
        passes.over(job.forget, epoch, loss)


METHOD = Method(
    delete,
    Delete,
    passes=lambda s: PassCount(forget=s.epochs, forward_forget=s.epochs),
    idea="Imitate the original on D_f with the true class removed.",
    paper="Zhou et al. 2025, arXiv 2503.23751",
    teachers=("original",),
    forget_rules=("class",),
    version=1,
)
