"""Losses of a short run, step by step, as they were when they were written down: nothing drifts unseen.

`python -m tests.trainables.test_golden` writes the file again; do so only when a change of results is meant, and
raise the keys' FORMAT_VERSION with it.
"""

import json
from pathlib import Path

import pytest
import torch

from tests.trainables.oracles import digits
from trainables.forget import retain_set, uniform_forget_set
from trainables.methods import Unlearning, unlearn
from trainables.model import build_model
from trainables.protocol import ModelConfig, Protocol, SaliencyConfig, TrainingConfig, UnlearningConfig
from trainables.seeds import Seeds
from trainables.training import Augmenter, Epoch, train

FILE = Path(__file__).with_name("golden_losses.json")
# Batches as large as the passes: each epoch is one step, and its loss the step's. Forgetting 25 % of 64 images.
NUM_IMAGES, EPOCHS = 64, 6
AUGMENTATIONS, STEMS = ("none", "default", "default+ra"), ("3x3", "imagenet")


def losses(augmentation: str, stem: str) -> dict[str, list[float]]:
    """The loss of each step of a training, and of the SalUn after it."""
    data, seeds = digits(), Seeds.all(0)
    for split in data.labels:
        data.images[split], data.labels[split] = data.images[split][:NUM_IMAGES], data.labels[split][:NUM_IMAGES]
    protocol = Protocol(
        model=ModelConfig(stem=stem, width=8),
        training=TrainingConfig(epochs=EPOCHS, batch_size=NUM_IMAGES, learning_rate=0.05),
        unlearning=UnlearningConfig(epochs=3, batch_size=NUM_IMAGES),
        saliency=SaliencyConfig(mode="hard"),
    )
    model = build_model(protocol.model, data.num_classes, seeds.initialisation)
    augmenter = Augmenter(augmentation, protocol.augmentation, seeds.augmentation)
    trained: list[Epoch] = []
    train(model, data, torch.arange(NUM_IMAGES), protocol.training, augmenter, seeds, trained.append)
    forget = uniform_forget_set(0.25, NUM_IMAGES, seeds.forget)
    retain = retain_set(forget, NUM_IMAGES)
    unlearned: list[Epoch] = []
    parts = torch.from_numpy(forget), torch.from_numpy(retain)
    work = Unlearning(model, model, data, *parts, protocol, augmenter, seeds, unlearned.append)
    unlearn("salun", work)
    return {"train": [epoch.loss for epoch in trained], "salun": [epoch.loss for epoch in unlearned]}


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_losses_are_those_written_down(augmentation: str, stem: str) -> None:
    """Another processor sums in another order: 0.2 % is left for it, and nothing for another draw."""
    golden = json.loads(FILE.read_text())[f"{augmentation}, {stem}"]
    found = losses(augmentation, stem)
    assert {name: len(steps) for name, steps in found.items()} == {"train": EPOCHS, "salun": 6}
    for name, steps in golden.items():
        assert found[name] == pytest.approx(steps, rel=2e-3)


def test_the_same_seed_gives_the_same_bits() -> None:
    assert losses("default+ra", "3x3") == losses("default+ra", "3x3")


if __name__ == "__main__":
    torch.set_num_threads(1)
    table = {f"{augmentation}, {stem}": losses(augmentation, stem) for augmentation in AUGMENTATIONS for stem in STEMS}
    FILE.write_text(json.dumps(table, indent=1) + "\n")
