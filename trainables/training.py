"""Training from scratch, for the original and the retrain."""

import time
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from math import cos, pi

import torch
from torch import Tensor, nn

from salun_grid.trainables.checkpoint import NO_CHECKPOINTS, BadState, Checkpoints, pack, restore, unpack
from salun_grid.trainables.layout import laid_out
from salun_grid.trainables.optimizers import set_learning_rate, sgd
from salun_grid.trainables.passes import Epoch, OnEpoch, Passes, now
from salun_grid.trainables.protocol import TrainingConfig
from salun_grid.trainables.resident import Augmenter, ResidentData
from salun_grid.trainables.seeds import Seeds, own_layer_stream
from salun_grid.trainables.workers import ALONE, Worker

OPTIMIZERS: dict[str, Callable[[nn.Module, TrainingConfig], torch.optim.Optimizer]] = {
    "sgd": lambda model, config: sgd(model, config.learning_rate, config.momentum, config.weight_decay),
    "adamw": lambda model, config: torch.optim.AdamW(
        model.parameters(), config.learning_rate, weight_decay=config.weight_decay
    ),
}


def train(
    model: nn.Module,
    data: ResidentData,
    indices: Tensor,
    config: TrainingConfig,
    augmenter: Augmenter,
    seeds: Seeds,
    on_epoch: OnEpoch = lambda epoch: None,
    worker: Worker = ALONE,
    checkpoints: Checkpoints = NO_CHECKPOINTS,
    forward: nn.Module | None = None,
) -> None:
    """Train `model` in place on the train images `indices` (int64, CPU) for `config.epochs` epochs.

    The weights are those of the last epoch. Every worker calls this with the same arguments and ends with the same
    weights. A state in `checkpoints` is resumed, with the same weights as without the interruption; `on_epoch` is
    then called for the earlier epochs again. `forward` runs the batches, such as a compiled `model`; default `model`.
    """
    optimizer = OPTIMIZERS[config.optimizer](model, config)
    epochs = epochs_done(checkpoints, model, optimizer)
    for done in epochs:
        on_epoch(done)
    subset, saved_at = data.subset("train", indices), time.monotonic()
    wrapped = worker.wrap(forward or model)
    advice = f"lower learning_rate, now {config.learning_rate:g}"
    passes = Passes(wrapped, optimizer, data, augmenter, config.batch_size, seeds.order, on_epoch, worker, advice)
    for epoch in range(len(epochs), config.epochs):
        set_learning_rate(optimizer, learning_rate_at(epoch, config))
        with own_layer_stream(data.device):
            epochs.append(passes.over(subset, epoch))
        if worker.rank == 0 and time.monotonic() - saved_at >= checkpoints.min_seconds:
            checkpoints.save(pack(model, optimizer, [asdict(done) for done in epochs]))
            saved_at = time.monotonic()


def epochs_done(checkpoints: Checkpoints, model: nn.Module, optimizer: torch.optim.Optimizer) -> list[Epoch]:
    """Restore `model` and `optimizer` from the saved state and return its epochs; [] if there is no usable state."""
    state = checkpoints.load()
    if state is None:
        return []
    try:
        saved = unpack(state)
        epochs = [Epoch(**done | {"resumed": True}) for done in saved.epochs]
        restore(saved, model, optimizer)
        return epochs
    except (BadState, TypeError) as error:
        checkpoints.refuse(str(error))
        return []


def learning_rate_at(epoch: int, config: TrainingConfig) -> float:
    """The learning rate of an epoch, counted from 0.

    It rises linearly for `warmup_epochs`, then falls at each milestone, or to 0 along a cosine.
    """
    if epoch < config.warmup_epochs:
        return config.learning_rate * (epoch + 1) / config.warmup_epochs
    if config.schedule == "cosine":
        done = (epoch - config.warmup_epochs) / max(1, config.epochs - config.warmup_epochs)
        return config.learning_rate * (1 + cos(pi * done)) / 2
    reached = sum(epoch >= int(milestone * config.epochs) for milestone in config.milestones)
    return config.learning_rate * config.decay_factor**reached


@cache
def prepare_device(device: torch.device) -> None:
    """Enable deterministic cuDNN and run one tiny step, once per process, so that lazy initialisation is not timed."""
    torch.backends.cudnn.deterministic = True
    layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 1))
    model = laid_out(layers.to(device))
    model(torch.ones(2, 3, 3, 3, device=device)).sum().backward()
    sgd(model, 0.1, momentum=0.9).step()
    now(device)
