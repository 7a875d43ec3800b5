"""SalUn-CRA (Falcão & Cordeiro 2026, arXiv 2604.23854): SalUn without negative labels on positive images.

Only the abstract was available; the step is derived from the paper's idea. Instead of being trained on random labels,
images of D_f in the positive class, such as malignant ones, are trained towards uncertainty.
"""

from dataclasses import dataclass, replace
from math import log

import torch
from torch import Tensor

from salun_grid.records.errors import InputError
from salun_grid.trainables.methods.base import Unlearning
from salun_grid.trainables.methods.random_label import SALUN, RandomLabel, epoch_on_random_labels
from salun_grid.trainables.passes import Batch, cross_entropy
from salun_grid.trainables.settings import setting


@dataclass(frozen=True)
class SalUnCRA(RandomLabel):
    """SGD with a constant learning rate."""

    positive_class: int = setting(
        1, at_least=0, below=100_000, doc="Class whose errors are the most costly.", source="MedMNIST's binary tasks"
    )
    entropy_weight: float = setting(1.0, at_least=0, below=1000, doc="Weight of the loss on positive images.")


def salun_cra(job: Unlearning[SalUnCRA]) -> None:
    """As `salun`, but positive images of D_f minimise log C − H(p), the divergence of p from the uniform distribution.

    Without positive images in D_f this is `salun`. Raises InputError for a class that the dataset does not have.
    """
    s, num_classes = job.settings, job.data.num_classes
    if s.positive_class >= num_classes:
        raise InputError(
            f"salun_cra's positive_class is {s.positive_class}, but the data has the classes 0 to {num_classes - 1}."
        )
    passes = job.passes(job.sgd())
    positive = job.forget.labels == s.positive_class

    def loss(batch: Batch) -> Tensor:
        """The per-image loss; images of D_f have the first places in either order."""
        of_forget = batch.places < len(positive)
        chosen = of_forget & positive[batch.places.clamp(max=len(positive) - 1)]
        return torch.where(chosen, s.entropy_weight * certainty(batch.logits), cross_entropy(batch))

    for epoch in range(s.epochs):
        epoch_on_random_labels(job, passes, epoch, loss)


def certainty(logits: Tensor) -> Tensor:
    """log C − H(softmax(logits)) of each row, ≥ 0, float (B,); 0 for the uniform distribution."""
    predicted = logits.log_softmax(1)
    return log(logits.shape[1]) + (predicted.exp() * predicted).sum(1)


METHOD = replace(
    SALUN,
    unlearn=salun_cra,
    settings=SalUnCRA,
    idea="salun, with uncertainty instead of random labels for positive images of D_f.",
    paper="Falcão & Cordeiro 2026, arXiv 2604.23854",
    version=1,
)
