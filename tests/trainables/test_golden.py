"""Golden values: results that must not drift unseen, on any processor.

Losses are computed in float64, in which processors agree to about 1e-9; in float32 SalUn's threshold and the kinks of
ReLU amplify the last bit to several per cent. Everything that is drawn or moved without arithmetic is compared by hash.

`python -m tests.trainables.test_golden` writes the file again. Do so only where a change of results is meant, and raise
the keys' FORMAT_VERSION with it.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from salun_grid.trainables import augmentation
from salun_grid.trainables.architectures import build_model
from salun_grid.trainables.forget import retain_set, uniform_forget_set
from salun_grid.trainables.methods import METHODS, Unlearning, unlearn
from salun_grid.trainables.methods.random_label import draw_labels
from salun_grid.trainables.methods.variants import Variant
from salun_grid.trainables.passes import Epoch
from salun_grid.trainables.protocol import (
    AugmentationConfig,
    ModelConfig,
    Protocol,
    SaliencyConfig,
    TrainingConfig,
    UnlearningConfig,
)
from salun_grid.trainables.resident import Augmenter
from salun_grid.trainables.seeds import Seeds, generator
from salun_grid.trainables.training import train
from tests.support.oracles import digits

FILE = Path(__file__).with_name("golden.json")
# Batches as large as the passes: each epoch is one step, and its loss the step's. Forgetting 25 % of 64 images.
NUM_IMAGES, EPOCHS = 64, 6
AUGMENTATIONS, STEMS = ("none", "default", "default+ra"), ("3x3", "imagenet")
WIDTHS = {"3x3": 8, "imagenet": 16}  # one in each memory layout


def losses(augmentation: str, stem: str, dtype: torch.dtype = torch.float64) -> dict[str, list[float]]:
    """The loss of each step of a training, and of the SalUn after it."""
    data, seeds = digits(), Seeds.all(0)
    for split in data.labels:
        data.images[split], data.labels[split] = data.images[split][:NUM_IMAGES], data.labels[split][:NUM_IMAGES]
    protocol = Protocol(
        model=ModelConfig(stem=stem, width=WIDTHS[stem]),
        training=TrainingConfig(epochs=EPOCHS, batch_size=NUM_IMAGES, learning_rate=0.05),
        unlearning=UnlearningConfig(epochs=3, batch_size=NUM_IMAGES),
        saliency=SaliencyConfig(mode="hard"),
    )
    model = build_model(protocol.model, data.num_classes, seeds.initialisation).to(dtype)
    model.register_forward_pre_hook(lambda module, inputs: (inputs[0].to(dtype) / 255,))
    augmenter = Augmenter(augmentation, protocol.augmentation, seeds.augmentation)
    trained: list[Epoch] = []
    train(model, data, torch.arange(NUM_IMAGES), protocol.training, augmenter, seeds, trained.append)
    forget = uniform_forget_set(0.25, NUM_IMAGES, seeds.forget)
    retain = retain_set(forget, NUM_IMAGES)
    unlearned: list[Epoch] = []
    subsets = data.forget_and_retain(torch.from_numpy(forget), torch.from_numpy(retain))
    settings, mask = Variant("salun").resolved(protocol)
    unlearn(
        METHODS["salun"],
        Unlearning(model, model, data, *subsets, settings, augmenter, seeds, unlearned.append),
        mask,
    )
    return {"train": [epoch.loss for epoch in trained], "salun": [epoch.loss for epoch in unlearned]}


def random_images(num_channels: int) -> torch.Tensor:
    """uint8 (256, 28, 28, C) with smooth structure and noise, by integer arithmetic alone."""
    side = torch.arange(28)
    ramp = (7 * side[:, None] + 3 * side[None, :])[None, :, :, None]
    noise = torch.randint(0, 120, (256, 28, 28, num_channels), generator=torch.Generator().manual_seed(0))
    return ((ramp + noise) % 256).to(torch.uint8)


def augmented(name: str, num_channels: int) -> torch.Tensor:
    """A batch of 256 images, uint8 (256, 3, 28, 28)."""
    draws = Augmenter(name, AugmentationConfig(), 0).draws(256, 28, "train", 0)
    return augmentation.apply(random_images(num_channels), draws, AugmentationConfig())


def exact_values() -> dict[str, Any]:
    """What must be equal bit for bit on any machine."""
    values: dict[str, Any] = {
        f"forget set {rate:g} of {count}": uniform_forget_set(rate, count, 0)
        for rate, count in ((0.1, 1000), (0.5, 11959))
    }
    values["order"] = torch.randperm(1000, generator=generator(0, "order", "train", 0)).numpy()
    values["random labels"] = draw_labels(1000, 9, 0, 3).numpy()
    for name in ("default", "default+ra"):
        draws = Augmenter(name, AugmentationConfig(), 0).draws(1000, 64, "train", 0)
        assert draws is not None
        parts = (draws.offsets, draws.flips, draws.operations, draws.negative)
        values[f"draws {name}"] = np.concatenate([part.numpy().ravel().astype(np.int64) for part in parts])
    for name in AUGMENTATIONS:
        for num_channels in (1, 3):
            values[f"batch {name}, {num_channels} channels"] = augmented(name, num_channels).contiguous().numpy()
    return values


def hashes() -> dict[str, str]:
    return {
        name: hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()[:16]
        for name, value in exact_values().items()
    }


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_losses_are_the_golden_ones(augmentation: str, stem: str) -> None:
    golden = json.loads(FILE.read_text())["losses"][f"{augmentation}, {stem}"]
    found = losses(augmentation, stem)
    assert {name: len(steps) for name, steps in found.items()} == {"train": EPOCHS, "salun": 6}
    for name, steps in golden.items():
        assert found[name] == pytest.approx(steps, rel=1e-7)


def test_what_is_exact_has_its_golden_hash() -> None:
    assert hashes() == json.loads(FILE.read_text())["hashes"]


def test_the_same_seed_gives_the_same_bits() -> None:
    assert losses("default+ra", "3x3", torch.float32) == losses("default+ra", "3x3", torch.float32)


if __name__ == "__main__":
    torch.set_num_threads(1)
    table = {f"{augmentation}, {stem}": losses(augmentation, stem) for augmentation in AUGMENTATIONS for stem in STEMS}
    FILE.write_text(json.dumps({"losses": table, "hashes": hashes()}, indent=1) + "\n")
