"""Random labels on D_f (Golatkar et al. 2020), and SalUn (Fan et al. 2024), which adds its mask."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from salun_grid.trainables.methods.base import Iterative, Method, PassCount, Unlearning
from salun_grid.trainables.passes import Loss, Passes, cross_entropy
from salun_grid.trainables.seeds import generator
from salun_grid.trainables.settings import setting

ORDERS = ("split", "mixed")


@dataclass(frozen=True)
class RandomLabel(Iterative):
    """SGD with a constant learning rate."""

    order: str = setting(
        "split",
        one_of=ORDERS,
        doc="Each epoch passes over D_f, then D_r (split), or once over both, shuffled together (mixed).",
        source="SalUn's code: split for CIFAR-10 and SVHN since April 2024, mixed for its other data",
    )


def random_label(job: Unlearning[RandomLabel]) -> None:
    """Train each epoch on random labels for D_f and the true ones for D_r, as in SalUn's code.

    The labels are redrawn each epoch, uniformly over all classes including the true one.
    """
    passes = job.passes(job.sgd())
    for epoch in range(job.settings.epochs):
        epoch_on_random_labels(job, passes, epoch)


def epoch_on_random_labels(job: Unlearning[Any], passes: Passes, epoch: int, loss: Loss = cross_entropy) -> None:
    """One pass over D_f with random labels and one over D_r; `loss` applies to every pass with images of D_f."""
    labels = draw_labels(len(job.forget), job.data.num_classes, job.seeds.unlearning, epoch)
    forget = job.forget.relabelled(labels)
    if job.settings.order == "mixed":
        passes.over(forget.joined(job.retain, "mixed"), epoch, loss)
    else:
        passes.over(forget, epoch, loss)
        passes.over(job.retain, epoch)


def draw_labels(num_images: int, num_classes: int, seed: int, epoch: int) -> Tensor:
    """Uniform labels 0 … num_classes − 1, int64 (num_images,), drawn anew for each epoch."""
    return torch.randint(0, num_classes, (num_images,), generator=generator(seed, "labels", epoch))


METHOD = Method(
    random_label,
    RandomLabel,
    passes=lambda s: PassCount(forget=s.epochs, retain=s.epochs),
    idea="Train on random labels for D_f and the true ones for D_r.",
    paper="Golatkar et al. 2020, arXiv 1911.04933",
    version=1,
)
SALUN = replace(
    METHOD,
    idea="random_label on the most salient weights for D_f.",
    paper="Fan et al. 2024, arXiv 2310.12508",
    masked=True,
    version=1,
)
