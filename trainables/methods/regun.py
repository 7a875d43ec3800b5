"""ReGUn (Mirlach et al. 2026, arXiv 2603.11210): match predictions on D_f to those on held-out images.

Only the abstract and the settings were available; the step is derived from the paper's idea. The reference is the
original's mean prediction on the validation images of a class, without augmentation.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from salun_grid.trainables.methods.base import Iterative, Method, PassCount, Unlearning
from salun_grid.trainables.methods.distillation import divergence
from salun_grid.trainables.passes import Batch, cross_entropy
from salun_grid.trainables.prediction import logits_of
from salun_grid.trainables.settings import setting


@dataclass(frozen=True)
class ReGUn(Iterative):
    """SGD over pairs of batches, one of D_r and one of D_f; D_f is reshuffled whenever it is used up."""

    learning_rate: float = setting(0.01, above=0, below=100, source="the paper")
    weight_decay: float = setting(0.0, at_least=0, below=1, source="the paper")
    forget_weight: float = setting(0.5, at_least=0, below=100, source="the paper")
    retain_weight: float = setting(0.5, at_least=0, below=100, source="the paper")


def regun(job: Unlearning[ReGUn]) -> None:
    """Minimise w_f · KL(reference of the image's class ‖ p) on D_f + w_r · CE_r."""
    s, passes, reference = job.settings, job.passes(job.sgd()), class_reference(job)

    def loss(forget: Batch, retain: Batch) -> Tensor:
        descent = s.retain_weight * cross_entropy(retain).mean()
        return descent + s.forget_weight * divergence(reference[forget.labels], forget.logits).mean()

    for epoch in range(s.epochs):
        passes.over_pairs(job.forget, job.retain, epoch, loss)


@torch.no_grad()
def class_reference(job: Unlearning[ReGUn]) -> Tensor:
    """Log of the mean prediction on each class's validation images, or on all if it has none, (C, C)."""
    predicted = logits_of(job.model.eval(), job.data.images["val"]).softmax(1)
    labels = torch.nn.functional.one_hot(job.data.labels["val"], job.data.num_classes).to(predicted.dtype)
    counts = labels.sum(0)[:, None]
    means = torch.where(counts > 0, labels.T @ predicted / counts.clamp(min=1), predicted.mean(0))
    return means.clamp(min=torch.finfo(means.dtype).tiny).log()


METHOD = Method(
    regun,
    ReGUn,
    passes=lambda s: PassCount(retain=s.epochs, paired=s.epochs, forward_validation=1),
    idea="Match predictions on D_f to those on validation images of the same class, and train on D_r.",
    paper="Mirlach et al. 2026, arXiv 2603.11210",
    version=1,
)
