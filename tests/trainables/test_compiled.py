"""A compiled model trains as the model does; PyTorch's compiler itself is left out here, its tracing is not."""

from functools import partial

import pytest
import torch
from torch import Tensor

from salun_grid.trainables import compiled
from salun_grid.trainables.protocol import AugmentationConfig, TrainingConfig
from salun_grid.trainables.resident import Augmenter
from salun_grid.trainables.seeds import Seeds
from salun_grid.trainables.training import train
from tests.support.oracles import equal_states, tiny_model

CONFIG = TrainingConfig(epochs=2, batch_size=32, learning_rate=0.05)
INDICES = torch.arange(80)  # the last batch has 16 images


@pytest.fixture(autouse=True)
def traced_only(monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))


def trained(data, compile: bool) -> torch.nn.Module:
    model = tiny_model()
    forward = compiled.compiled(model, data, CONFIG.batch_size)[0] if compile else None
    train(model, data, INDICES, CONFIG, Augmenter("default", AugmentationConfig(), 0), Seeds.all(0), forward=forward)
    return model


def test_the_weights_are_those_without_compiling(data):
    ours, plain = trained(data, True).state_dict(), trained(data, False).state_dict()
    for name in plain:
        torch.testing.assert_close(ours[name], plain[name], rtol=1e-3, atol=1e-4)


def test_compiling_changes_nothing_in_the_model(data):
    model = tiny_model()
    _, seconds = compiled.compiled(model, data, 32)
    assert seconds > 0 and equal_states(model, tiny_model())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_only_full_batches_are_compiled(monkeypatch):
    sizes: list[int] = []

    def spy(model: torch.nn.Module, dynamic: bool):
        def run(images: Tensor) -> Tensor:
            sizes.append(len(images))
            return model(images)

        return run

    monkeypatch.setattr(torch, "compile", spy)
    forward = compiled.FullBatches(tiny_model(), 4)
    for size in (4, 3, 5, 4):
        forward(torch.zeros(size, 3, 8, 8))
    assert sizes == [4, 4]
