"""Relearning: how quickly a model relearns D_f when it is trained on a small fraction of it, or on D_r alone.

A model that retains information about D_f relearns it faster than the retrain, even if both predict it equally badly
before (relearn time: Golatkar et al. 2020, section 5; anamnesis index: Chundawat et al. 2023). The target is the
retrain's curve.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from salun_grid.trainables.methods.base import Iterative, PassCount, Unlearning
from salun_grid.trainables.prediction import logits_of
from salun_grid.trainables.probes.base import Measure, Probe
from salun_grid.trainables.resident import ResidentData, Subset
from salun_grid.trainables.settings import setting


@dataclass(frozen=True)
class Relearn(Iterative):
    """SGD with a constant learning rate on a random `fraction` of D_f, or on D_r if `fraction` is 0."""

    epochs: int = setting(5, at_least=1, unit="passes", source="ours")
    learning_rate: float = setting(0.01, above=0, below=100, source="ours")
    fraction: float = setting(
        0.1, at_least=0, below=1, unit="of D_f", doc="Fraction trained on; 0 trains on D_r alone.", source="ours"
    )


def relearn(job: Unlearning[Relearn]) -> Iterator[Measure]:
    """Accuracy on the held-out images of D_f, before training (element 0) and after each epoch."""
    seen, unseen = split(job.forget, job.settings.fraction, job.generator("relearn"))
    trained_on = seen if len(seen) else job.retain
    passes = job.passes(job.sgd())
    yield measured(job, unseen, 0)
    for epoch in range(job.settings.epochs):
        passes.over(trained_on, epoch)
        yield measured(job, unseen, epoch + 1)


def split(forget: Subset, fraction: float, random: torch.Generator) -> tuple[Subset, Subset]:
    """A random `fraction` of a subset, empty only if that is 0, and the rest, which is never empty."""
    count = min(max(round(fraction * len(forget)), 1), len(forget) - 1) if fraction else 0
    order = torch.randperm(len(forget), generator=random)
    return tuple(  # type: ignore[return-value]
        replace(forget, indices=forget.indices[places], labels=forget.labels[places.to(forget.labels.device)])
        for places in (order[:count].sort().values, order[count:].sort().values)
    )


def measured(job: Unlearning[Any], unseen: Subset, epoch: int) -> Measure:
    return Measure("relearn_accuracy", accuracy_percent(job.model, job.data, unseen), "percent", epoch)


@torch.inference_mode()
def accuracy_percent(model: nn.Module, data: ResidentData, subset: Subset) -> float:
    """Accuracy on a subset in eval mode, without augmentation, in percent."""
    predicted = logits_of(model.eval(), data.images["train"][subset.indices.to(data.device)]).argmax(1)
    return 100 * float((predicted == subset.labels).float().mean())


def passes(s: Relearn) -> PassCount:
    predicting = (s.epochs + 1) / 3 * (1 - s.fraction)
    return PassCount(forget=s.epochs * s.fraction + predicting, retain=0.0 if s.fraction else s.epochs)


PROBE = Probe(
    relearn,
    Relearn,
    passes=passes,
    idea="Accuracy on D_f after each epoch of training on a fraction of D_f or on D_r.",
    paper="Golatkar et al. 2020, arXiv 1911.04933; Chundawat et al. 2023, arXiv 2205.08096",
    version=1,
)
