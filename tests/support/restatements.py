"""Pieces of which the naive restatements of the methods are made."""

import torch
from torch import Tensor, nn

from salun_grid.trainables.protocol import AugmentationConfig, Protocol, UnlearningConfig
from salun_grid.trainables.resident import ResidentData
from tests.support.oracles import (
    as_rgb,
    augment,
    batch_bounds,
    equal_states,
    stacked,
    stream,
    tiny_model,
)
from tests.support.unlearning import BATCH, FORGET, RATE, RETAIN, SEEDS, unlearned


def as_input(data, index: int) -> Tensor:
    return as_rgb(data.images["train"][index]) / 255


Pairs = list[tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]]

EPOCHS = 2
KNOWN = Protocol(unlearning=UnlearningConfig(epochs=EPOCHS, batch_size=BATCH, learning_rate=RATE))


def made(method: str, data: ResidentData) -> nn.Module:
    return unlearned(method, data, settings=KNOWN)


def batches(
    data: ResidentData, phase: str, indices: Tensor, epoch: int, *cycle: object
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Images, labels and places of the batches of one pass, as the engine orders them, one image at a time."""
    order = torch.randperm(len(indices), generator=stream(SEEDS.unlearning, "order", phase, epoch, *cycle)).tolist()
    draws = stream(SEEDS.augmentation, "augmentation", phase, epoch, *cycle)
    inputs = augment(
        torch.stack([data.images["train"][indices[i]] for i in order]), "none", AugmentationConfig(), draws
    )
    labels = torch.stack([data.labels["train"][indices[i]] for i in order])
    return [
        (stacked(inputs[first:stop]), labels[first:stop], torch.tensor(order[first:stop]))
        for first, stop in batch_bounds(len(order), BATCH)
    ]


def plain_sgd(model: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9, weight_decay=5e-4)


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def assert_close(ours: nn.Module, theirs: nn.Module) -> None:
    for mine, wanted in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-8, atol=1e-10)
    assert not equal_states(ours, tiny_model())


def labels_predicted(data) -> Tensor:
    """What the tiny model predicts for D_f, so that there is something to attack."""
    inputs = torch.stack([as_input(data, index) for index in FORGET])
    return tiny_model().eval()(inputs).argmax(1)


def pairs(data, epoch: int) -> Pairs:
    """The batches of D_f, which is shuffled anew when it is used up, with those of D_r."""
    forget = [*batches(data, "forget", FORGET, epoch), *batches(data, "forget", FORGET, epoch, "cycle", 1)]
    return list(zip(forget, batches(data, "retain", RETAIN, epoch), strict=True))
