"""LoTUS (Spartalis et al. 2025, arXiv 2503.18314): distil softened predictions of the original on D_f.

Follows the official code: both kinds of targets are sampled with Gumbel noise, and the target accuracy on D_f is that
on held-out images, here the validation split.
"""

from dataclasses import dataclass
from math import exp

import torch
from torch import Tensor

from salun_grid.trainables.methods.base import Method, PassCount, Settings, Unlearning
from salun_grid.trainables.methods.distillation import teach
from salun_grid.trainables.passes import Batch, Passes, Totals
from salun_grid.trainables.prediction import logits_of
from salun_grid.trainables.resident import Subset
from salun_grid.trainables.settings import setting

OFFICIAL = "official code"


@dataclass(frozen=True)
class Lotus(Settings):
    """AdamW; images of D_f and D_r are mixed in the batches of one shuffled pass."""

    epochs: int = setting(10, at_least=1, unit="passes", doc="Maximum number.", source="the paper")
    batch_size: int = setting(128, at_least=2, unit="images", source=OFFICIAL)
    learning_rate: float = setting(1e-4, above=0, below=100, source=OFFICIAL)
    weight_decay: float = setting(5e-4, at_least=0, below=1, source=OFFICIAL)
    alpha: float = setting(
        8.0, at_least=0, below=1000, doc="Growth rate of the temperature with the accuracy.", source="the paper"
    )
    retain_fraction: float = setting(0.3, above=0, at_most=1, doc="Fraction of D_r used, drawn once.", source=OFFICIAL)
    target_accuracy: float | None = setting(
        None,
        at_least=0,
        at_most=1,
        doc="Target accuracy on D_f; none is the original's on validation images. Use 0 for a whole class.",
        source=OFFICIAL,
    )
    margin: float = setting(
        0.01, at_least=0, at_most=1, doc="Margin below the target at which it stops.", source=OFFICIAL
    )


def lotus(job: Unlearning[Lotus]) -> None:
    """Minimise the cross-entropy to labels sampled from the original: soft on D_f, one-hot on a sample of D_r.

    The temperature is exp(α · (accuracy on D_f − target)), updated every epoch; below the target the method stops.
    """
    s, num_forget = job.settings, len(job.forget)
    optimizer = torch.optim.AdamW(job.model.parameters(), lr=s.learning_rate, weight_decay=s.weight_decay)
    passes, teacher = job.passes(optimizer), job.teachers["original"]
    both = job.forget.joined(job.some_of_retain(s.retain_fraction, "lotus"), "mixed")
    target = wanted_accuracy(job)
    for epoch in range(s.epochs):
        above = accuracy(job, passes, epoch) - target
        if above <= -s.margin:
            break
        noise, temperature = gumbel_noise(job, both, epoch), exp(s.alpha * above)

        def loss(batch: Batch, noise: Tensor = noise, temperature: float = temperature) -> Tensor:
            drawn = teach(teacher, batch) + noise[batch.places]
            soft, hard = torch.softmax(drawn / temperature, 1), one_hot(drawn)
            labels = torch.where((batch.places < num_forget)[:, None], soft, hard)
            return -(labels * batch.logits.log_softmax(1)).sum(1)

        passes.over(both, epoch, loss)


def wanted_accuracy(job: Unlearning[Lotus]) -> float:
    """The target accuracy on D_f, in 0 … 1; by default the original's on validation images, one forward pass."""
    if job.settings.target_accuracy is not None:
        return job.settings.target_accuracy
    with torch.no_grad():
        predicted = logits_of(job.model.eval(), job.data.images["val"]).argmax(1)
    return (predicted == job.data.labels["val"]).double().mean().item()


def accuracy(job: Unlearning[Lotus], passes: Passes, epoch: int) -> float:
    """The model's accuracy on D_f in eval mode, without augmentation, in 0 … 1. Reports a third of a pass."""
    forget, device = job.forget, job.data.device
    totals = Totals(passes, forget.name, epoch)
    with torch.no_grad():
        logits = logits_of(job.model.eval(), job.data.images["train"][forget.indices.to(device)])
    batch = Batch(job.model, torch.empty(0), forget.labels, torch.arange(len(forget), device=device))
    batch.logits = logits
    totals.add(torch.nn.functional.cross_entropy(logits, forget.labels), batch, len(forget))
    return totals.finish(len(forget), round(len(forget) / 3)).accuracy_percent / 100


def gumbel_noise(job: Unlearning[Lotus], subset: Subset, epoch: int) -> Tensor:
    """Gumbel noise −log(−log u) for each image and class, (N, C)."""
    shape = (len(subset), job.data.num_classes)
    uniform = torch.rand(shape, generator=job.generator("lotus", "gumbel", epoch)).to(job.data.device)
    return -torch.log(-torch.log(uniform.clamp(min=torch.finfo(uniform.dtype).tiny)))


def one_hot(scores: Tensor) -> Tensor:
    """One-hot encoding of the highest score of each row."""
    return torch.zeros_like(scores).scatter(1, scores.argmax(1, keepdim=True), 1.0)


METHOD = Method(
    lotus,
    Lotus,
    passes=lambda s: PassCount(
        forget=s.epochs * 4 / 3,
        retain=s.epochs * s.retain_fraction,
        forward_forget=s.epochs,
        forward_retain=s.epochs * s.retain_fraction,
        forward_validation=s.target_accuracy is None,
    ),
    idea="Imitate softened predictions of the original on D_f, its labels on a sample of D_r.",
    paper="Spartalis et al. 2025, arXiv 2503.18314",
    teachers=("original",),
    version=1,
)
