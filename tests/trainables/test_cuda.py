"""What must hold on a GPU: the CPU's choices and numbers, repetition bit for bit, resumption, CUDA graphs."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.gpu_training import capture
from salun_grid.trainables import augmentation
from salun_grid.trainables.checkpoint import Checkpoints
from salun_grid.trainables.methods import METHODS, Unlearning, unlearn
from salun_grid.trainables.methods.variants import Variant
from salun_grid.trainables.optimizers import apply_mask, sgd
from salun_grid.trainables.prediction import predict
from salun_grid.trainables.protocol import AugmentationConfig, Protocol, TrainingConfig, UnlearningConfig
from salun_grid.trainables.resident import Augmenter, ResidentData
from salun_grid.trainables.saliency import saliency, top_fractions
from salun_grid.trainables.seeds import Seeds
from salun_grid.trainables.training import train
from tests.support.oracles import digits, equal_states, tiny_model

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

DEVICE, CPU = torch.device("cuda"), torch.device("cpu")
CONFIG = TrainingConfig(epochs=3, batch_size=32, learning_rate=0.05)
INDICES = torch.arange(96)


@pytest.fixture(autouse=True)
def reproducible() -> Iterator[None]:
    """As a job has it, and without TF32, so that the CPU's numbers are within float32's rounding."""
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        yield


def on(device: torch.device) -> ResidentData:
    data = digits()
    images, labels = ({split: part.to(device) for split, part in parts.items()} for parts in (data.images, data.labels))
    return ResidentData(images, labels, data.num_classes)


def trained(
    device: torch.device, name: str = "default", checkpoints: Checkpoints | None = None, graphs: bool = False
) -> torch.nn.Module:
    model, data = tiny_model().to(device), on(device)
    if graphs:
        capture(model, data, CONFIG.batch_size)
    augmenter = Augmenter(name, AugmentationConfig(), 0)
    train(model, data, INDICES, CONFIG, augmenter, Seeds.all(0), checkpoints=checkpoints or Checkpoints())
    return model


def random_scores(seed: int) -> list[Tensor]:
    random = torch.Generator().manual_seed(seed)
    return [torch.rand(shape, generator=random) for shape in ((64, 3, 3, 3), (512,), (10, 512))]


def test_the_mask_is_the_cpus() -> None:
    scores, fractions = [score.round(decimals=2) for score in random_scores(0)], (0.1, 0.5, 0.93)  # with many ties
    wanted = top_fractions(scores, fractions)
    found = top_fractions([score.to(DEVICE) for score in scores], fractions)
    for mine, theirs in zip(found, wanted, strict=True):
        assert all(torch.equal(a.cpu(), b) for a, b in zip(mine, theirs, strict=True))


@pytest.mark.parametrize("mode", ["hard", "leaky"])
def test_a_masked_step_ends_at_the_cpus_weights(mode: str) -> None:
    ended = []
    for device in (CPU, DEVICE):
        model = tiny_model().to(device)
        random = torch.Generator().manual_seed(0)
        mask = []
        for weight in model.parameters():
            weight.grad = torch.randn(weight.shape, generator=random).to(device)
            mask.append((torch.rand(weight.shape, generator=random) < 0.5).to(device))
        optimizer = sgd(model, 0.1, momentum=0.9, weight_decay=5e-4)
        apply_mask(optimizer, mask, mode)
        optimizer.step()
        optimizer.step()
        ended.append([weight.detach().cpu() for weight in model.parameters()])
        if mode == "hard":
            for weight, before, kept in zip(model.parameters(), tiny_model().parameters(), mask, strict=True):
                assert torch.equal(weight.detach().cpu()[~kept.cpu()], before.detach()[~kept.cpu()])
    for found, wanted in zip(*ended, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", augmentation.AUGMENTATIONS)
def test_augmented_images_are_the_cpus(name: str) -> None:
    """Bit for bit; RandAugment interpolates in floats, so that few of its pixels may round the other way."""
    found = []
    for device in (CPU, DEVICE):
        images = on(device).images["train"][:96]
        draws = Augmenter(name, AugmentationConfig(), 0).draws(96, images.shape[1], "train", 0)
        found.append(augmentation.apply(images, draws.to(device) if draws else None, AugmentationConfig()).cpu())
    differing = (found[0] != found[1]).float().mean()
    assert differing == 0 if name != "default+ra" else differing < 0.01


@pytest.mark.usefixtures("double_precision")
def test_saliency_and_logits_are_the_cpus() -> None:
    scores, logits = [], []
    for device in (CPU, DEVICE):
        model, data = tiny_model().to(device), on(device)
        scores.append(
            saliency(model, data, data.subset("forget", INDICES), Augmenter("none", AugmentationConfig(), 0), 32)
        )
        logits.append(predict(model, data))
    for mine, wanted in zip(*scores, strict=True):
        torch.testing.assert_close(mine.cpu(), wanted.cpu(), rtol=1e-9, atol=1e-9)
    for split in logits[0]:
        np.testing.assert_allclose(logits[1][split], logits[0][split], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", augmentation.AUGMENTATIONS)
def test_a_training_repeats_itself_bit_for_bit(name: str) -> None:
    first = trained(DEVICE, name)
    assert equal_states(first, trained(DEVICE, name))
    assert not equal_states(first, tiny_model().to(DEVICE))


def test_an_interrupted_training_ends_at_the_same_weights() -> None:
    states: list[bytes] = []
    whole = trained(DEVICE, checkpoints=Checkpoints(save=states.append, min_seconds=0))
    assert equal_states(whole, trained(DEVICE, checkpoints=Checkpoints(load=lambda: states[0])))


def test_cuda_graphs_train_to_the_same_weights() -> None:
    """Their capture moves BatchNorm's running statistics, which training does not read."""
    plain, replayed = trained(DEVICE), trained(DEVICE, graphs=True)
    for wanted, found in zip(plain.parameters(), replayed.parameters(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def unlearned(method: str, device: torch.device) -> torch.nn.Module:
    """What two epochs of a method make of the tiny model."""
    model, data = tiny_model().to(device), on(device)
    unlearning = UnlearningConfig(epochs=2, batch_size=32, learning_rate=0.001)
    settings, mask = Variant(method).resolved(Protocol(unlearning=unlearning))
    subsets = data.forget_and_retain(INDICES[:30], INDICES[30:])
    augmenter = Augmenter("none", AugmentationConfig(), 0)
    unlearn(METHODS[method], Unlearning(model, model, data, *subsets, settings, augmenter, Seeds.all(0)), mask)
    return model


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.usefixtures("double_precision")
def test_every_method_ends_near_the_cpus_weights_each_time_the_same(method: str) -> None:
    found = unlearned(method, DEVICE)
    assert equal_states(found, unlearned(method, DEVICE))
    for mine, wanted in zip(found.parameters(), unlearned(method, CPU).parameters(), strict=True):
        torch.testing.assert_close(mine.cpu(), wanted, rtol=1e-6, atol=1e-8)
