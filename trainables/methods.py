"""The unlearning methods: each turns the original, in place, into the unlearned model.

A method is one function and one line in METHODS; `masked` adds SalUn's saliency mask to any of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from trainables.protocol import Protocol
from trainables.saliency import saliency, top_fraction
from trainables.seeds import Seeds, generator
from trainables.sgd import MaskedSGD, settings_of, sgd
from trainables.training import Augmenter, OnEpoch, ResidentData, now, one_pass


@dataclass(frozen=True)
class Unlearning:
    """What a method gets: the model to change, the data, D_f and D_r as int64 train indices, the settings.

    `forward` is what training batches go through: the model itself, or the same compiled.
    """

    model: nn.Module
    forward: nn.Module
    data: ResidentData
    forget: Tensor
    retain: Tensor
    protocol: Protocol
    augmenter: Augmenter
    seeds: Seeds
    on_epoch: OnEpoch


# Makes the optimizer of the job's model; a method calls it once, and a mask, where there is one, is inside.
MakeOptimizer = Callable[[], torch.optim.Optimizer]


@dataclass(frozen=True)
class Method:
    """`unlearn` does the work; `masked` asks for the saliency mask; `trains` is False for the no-op."""

    unlearn: Callable[[Unlearning, MakeOptimizer], None]
    masked: bool
    trains: bool = True


@dataclass(frozen=True)
class Seconds:
    mask: float
    train: float


def do_nothing(job: Unlearning, make_optimizer: MakeOptimizer) -> None:
    """The no-op: the original as it is, the floor that any method must beat."""


def random_label(job: Unlearning, make_optimizer: MakeOptimizer) -> None:
    """Random labels on D_f and the true ones on D_r, each epoch (Golatkar et al. 2020, as SalUn's code has it).

    The labels are drawn afresh each epoch, uniform over all classes; the true one may come. `order` is `split`, a pass
    over D_f and then one over D_r, or `mixed`, one shuffled pass over both.
    """
    config, data = job.protocol.unlearning, job.data
    optimizer = make_optimizer()
    true_labels = data.labels["train"][job.retain.to(data.device)]
    for epoch in range(config.epochs):
        labels = draw_labels(len(job.forget), data.num_classes, job.seeds.unlearning, epoch).to(data.device)
        parts = [("forget", job.forget, labels), ("retain", job.retain, true_labels)]
        if config.order == "mixed":
            parts = [("mixed", torch.cat([job.forget, job.retain]), torch.cat([labels, true_labels]))]
        for phase, indices, targets in parts:
            job.on_epoch(
                one_pass(
                    job.forward,
                    optimizer,
                    data,
                    indices,
                    targets,
                    job.augmenter,
                    config.batch_size,
                    job.seeds.unlearning,
                    epoch,
                    phase,
                )
            )


def draw_labels(num_images: int, num_classes: int, seed: int, epoch: int) -> Tensor:
    """int64 (num_images,), uniform over 0 … num_classes − 1, of its own for each epoch."""
    return torch.randint(0, num_classes, (num_images,), generator=generator(seed, "labels", epoch))


METHODS: dict[str, Method] = {
    "original": Method(do_nothing, masked=False, trains=False),
    "salun": Method(random_label, masked=True),
}


def unlearn(name: str, job: Unlearning) -> Seconds:
    """Run the method `name` on `job.model` in place; returns the seconds of the mask and of the rest."""
    method, protocol = METHODS[name], job.protocol
    started = now(job.data.device)
    make_optimizer: MakeOptimizer = partial(sgd, job.model, protocol.unlearning)
    if method.masked:
        scores = saliency(job.model, job.data, job.forget, job.augmenter, protocol.unlearning.batch_size)
        mask = top_fraction(scores, protocol.saliency.fraction)
        settings = settings_of(protocol.unlearning)
        make_optimizer = partial(MaskedSGD, job.model.parameters(), mask, protocol.saliency.mode, **settings)
    masked = now(job.data.device)
    method.unlearn(job, make_optimizer)
    return Seconds(mask=masked - started, train=now(job.data.device) - masked)
