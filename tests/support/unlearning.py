"""Small unlearning jobs: what a method makes of a tiny model."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from salun_grid.trainables.methods import METHODS, Unlearning, unlearn
from salun_grid.trainables.methods.variants import Variant
from salun_grid.trainables.passes import Epoch
from salun_grid.trainables.probes import PROBES, ChosenProbe, Measure
from salun_grid.trainables.protocol import AugmentationConfig, Protocol, SaliencyConfig, UnlearningConfig
from salun_grid.trainables.resident import Augmenter, ResidentData
from salun_grid.trainables.seeds import Seeds
from tests.support.oracles import digits, tiny_model

TINY: dict[str, Any] = {"epochs": 2, "batch_size": 16}

FORGET = torch.arange(0, 90, 3)  # 30 images of the first 90
RETAIN = torch.tensor([i for i in range(90) if i % 3])
SEEDS = Seeds(initialisation=0, order=1, augmentation=2, forget=3, unlearning=4)
EPOCHS, BATCH, RATE = 3, 16, 0.02
AT_WORK = {"ssd": "ssd:alpha=1", "lfssd": "lfssd:alpha=1", "lotus": "lotus:target_accuracy=0"}


def protocol(mode: str = "leaky", fraction: float = 0.5, epochs: int = EPOCHS) -> Protocol:
    return Protocol(
        saliency=SaliencyConfig(fraction, mode),
        unlearning=UnlearningConfig(epochs=epochs, batch_size=BATCH, learning_rate=RATE),
    )


def unlearned(
    method: str,
    data: ResidentData,
    name: str = "none",
    seeds: Seeds = SEEDS,
    settings: Protocol | None = None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    forget: Tensor = FORGET,
) -> nn.Module:
    """What the variant `method` makes of a tiny model."""
    model = tiny_model()
    augmenter = Augmenter(name, AugmentationConfig(), seeds.augmentation)
    variant = Variant.parse(method)
    own, mask = variant.resolved(settings or protocol())
    subsets = data.forget_and_retain(forget, RETAIN)
    job = Unlearning(model, model, data, *subsets, own, augmenter, seeds, on_epoch)
    seconds = unlearn(METHODS[variant.method], job, mask)
    assert seconds.mask >= 0 and seconds.train >= 0
    return model


@dataclass(frozen=True)
class Unlearned:
    """A model after unlearning, the epochs that were reported, and the data as the method left it."""

    model: nn.Module
    epochs: list[Epoch]
    data: ResidentData


# What any method must hold, it holds in two epochs; restatements run EPOCHS.
CONTRACT = protocol(epochs=2)


@cache
def unlearned_once(method: str, name: str) -> Unlearned:
    """The result of `unlearned` under CONTRACT, shared by the tests that only look at it."""
    data, epochs = digits(), list[Epoch]()
    torch.manual_seed(1)
    return Unlearned(unlearned(method, data, name, settings=CONTRACT, on_epoch=epochs.append), epochs, data)


def job_of(name: str, data: ResidentData, seed: int = 0, **settings: Any) -> tuple[Unlearning[Any], list[Epoch]]:
    own, model, epochs = ChosenProbe(name).settings(), tiny_model(), []
    tiny = {key: value for key, value in TINY.items() if hasattr(own, key)}
    subsets = data.forget_and_retain(FORGET, RETAIN)
    augmenter = Augmenter("none", AugmentationConfig(), seed)
    job = Unlearning(
        model, model, data, *subsets, replace(own, **(tiny | settings)), augmenter, Seeds.all(seed), epochs.append
    )
    return job, epochs


def measures(name: str, data: ResidentData, seed: int = 0, **settings: Any) -> list[Measure]:
    return list(PROBES[name].run(job_of(name, data, seed, **settings)[0]))
