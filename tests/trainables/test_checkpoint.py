"""An interrupted training goes on to the weights of the undisturbed one, bit for bit."""

import json

import pytest
import torch
from safetensors.torch import load, save

from salun_grid.trainables.architectures import build_model
from salun_grid.trainables.checkpoint import Checkpoints
from salun_grid.trainables.passes import Epoch
from salun_grid.trainables.protocol import AugmentationConfig, ModelConfig, TrainingConfig
from salun_grid.trainables.resident import Augmenter, ResidentData
from salun_grid.trainables.seeds import Seeds
from salun_grid.trainables.training import train
from tests.support.oracles import equal_states

CONFIG = TrainingConfig(epochs=4, batch_size=16, learning_rate=0.05)


class Killed(Exception):
    """Stands for whatever ends a process."""


class Kept:
    """Checkpoints in memory; `states` are all that were saved."""

    def __init__(self) -> None:
        self.states: list[bytes] = []

    def checkpoints(self, min_seconds: float = 0.0) -> Checkpoints:
        return Checkpoints(lambda: self.states[-1] if self.states else None, self.states.append, min_seconds)


def trained(data: ResidentData, checkpoints: Checkpoints, die_in_epoch: int | None = None, initialisation: int = 0):
    """The model and the epochs that `on_epoch` was given."""
    epochs: list[Epoch] = []
    model = build_model(ModelConfig(width=4), data.num_classes, initialisation)

    def on_epoch(epoch: Epoch) -> None:
        epochs.append(epoch)
        if epoch.epoch == die_in_epoch:
            raise Killed

    augmenter = Augmenter("default+ra", AugmentationConfig(), 0)
    train(model, data, torch.arange(64), CONFIG, augmenter, Seeds.all(0), on_epoch, checkpoints=checkpoints)
    return model, epochs


@pytest.mark.parametrize("die_in_epoch", [1, 2, 3])
def test_a_resumed_training_ends_with_the_same_weights(data, die_in_epoch):
    undisturbed, epochs = trained(data, Checkpoints())
    kept = Kept()
    with pytest.raises(Killed):
        trained(data, kept.checkpoints(), die_in_epoch)
    assert len(kept.states) == die_in_epoch, "the epoch that was killed is not saved, each one before is"
    # Another initialisation: only the saved state can bring the same weights.
    resumed, again = trained(data, kept.checkpoints(), initialisation=9)
    assert equal_states(undisturbed, resumed)
    assert [(e.epoch, e.loss, e.learning_rate) for e in again] == [(e.epoch, e.loss, e.learning_rate) for e in epochs]


def test_without_the_momentum_the_weights_would_differ(data, monkeypatch):
    """Guards the test above: it sees a state that lacks something."""
    undisturbed, _ = trained(data, Checkpoints())
    kept = Kept()
    with pytest.raises(Killed):
        trained(data, kept.checkpoints(), 2)
    tensors = {name: tensor for name, tensor in load(kept.states[-1]).items() if not name.startswith("optimizer")}
    header = kept.states[-1][8 : 8 + int.from_bytes(kept.states[-1][:8], "little")]
    kept.states.append(save(tensors, json.loads(header)["__metadata__"]))
    assert not equal_states(undisturbed, trained(data, kept.checkpoints())[0])


def test_states_are_not_saved_more_often_than_asked(data):
    kept = Kept()
    trained(data, kept.checkpoints(min_seconds=3600.0))
    assert kept.states == []
