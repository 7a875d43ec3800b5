"""Task arithmetic (Ilharco et al. 2023, arXiv 2212.04089): subtract the weight change of finetuning on D_f.

NegMerge (Kim et al. 2025, arXiv 2410.05583) merges the task vectors of several finetunings: their mean where all agree
in sign, 0 elsewhere. Buffers, such as BatchNorm's running statistics, keep the original's values, since subtracting
could make a variance negative.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor

from salun_grid.trainables.methods.base import Iterative, Method, PassCount, Unlearning
from salun_grid.trainables.optimizers import set_learning_rate
from salun_grid.trainables.settings import setting

NEG_MERGE = "NegMerge's experiments"


@dataclass(frozen=True)
class TaskArithmetic(Iterative):
    """SGD with a constant learning rate."""

    epochs: int = setting(1, at_least=1, unit="passes", source=NEG_MERGE)
    learning_rate: float = setting(5e-4, above=0, below=100, source=f"{NEG_MERGE}, the middle of three")
    scale: float = setting(1.0, at_least=0, below=1000, doc="λ of the subtracted task vector.", source=NEG_MERGE)


@dataclass(frozen=True)
class NegMerge(TaskArithmetic):
    """SGD; the learning rate of each finetuning is constant."""

    learning_rate: float = setting(1e-4, above=0, below=100, source=f"{NEG_MERGE}, the lowest")
    factors: tuple[float, ...] = setting(
        (1.0, 5.0, 10.0), above=0, below=1e6, doc="Factors of learning_rate, one finetuning each.", source=NEG_MERGE
    )
    repeats: int = setting(3, at_least=1, below=1000, doc="Finetunings per factor.", source=NEG_MERGE)


def task_arithmetic(job: Unlearning[TaskArithmetic]) -> None:
    """Set the weights to θ₀ − λ (θ_f − θ₀), with θ_f finetuned on D_f."""
    subtract(job, task_vector(job, job.settings.learning_rate, 0))


def neg_merge(job: Unlearning[NegMerge]) -> None:
    """Set the weights to θ₀ − λ · merged task vectors; one factor of 1 and one repeat is `task_arithmetic`."""
    s = job.settings
    runs = enumerate(product(s.factors, range(s.repeats)))
    subtract(job, merged([task_vector(job, s.learning_rate * factor, run) for run, (factor, _) in runs]))


def task_vector(job: Unlearning[Any], learning_rate: float, run: int) -> list[Tensor]:
    """θ_f − θ₀ of one finetuning on D_f, after which the model is restored; `run` selects its random streams."""
    state = {name: value.clone() for name, value in job.model.state_dict().items()}
    optimizer, epochs = job.sgd(), job.settings.epochs
    set_learning_rate(optimizer, learning_rate)
    passes = job.passes(optimizer)
    for epoch in range(run * epochs, (run + 1) * epochs):
        passes.over(job.forget, epoch)
    vector = [weight.detach() - state[name] for name, weight in job.model.named_parameters()]
    job.model.load_state_dict(state)
    return vector


def merged(vectors: list[list[Tensor]]) -> list[Tensor]:
    """The mean of the task vectors where all have the same sign, 0 elsewhere."""
    stacks = [torch.stack(parts) for parts in zip(*vectors, strict=True)]
    return [torch.where(stack.sign().sum(0).abs() == len(stack), stack.mean(0), 0.0) for stack in stacks]


def subtract(job: Unlearning[Any], vector: list[Tensor]) -> None:
    with torch.no_grad():
        for weight, part in zip(job.model.parameters(), vector, strict=True):
            weight.sub_(job.settings.scale * part)


METHOD = Method(
    task_arithmetic,
    TaskArithmetic,
    passes=lambda s: PassCount(forget=s.epochs),
    idea="Subtract the weight change of finetuning on D_f.",
    paper="Ilharco et al. 2023, arXiv 2212.04089",
    version=1,
)
NEGMERGE = Method(
    neg_merge,
    NegMerge,
    passes=lambda s: PassCount(forget=s.epochs * len(s.factors) * s.repeats),
    idea="Subtract the weight changes on which several finetunings on D_f agree in sign.",
    paper="Kim et al. 2025, arXiv 2410.05583",
    version=1,
)
