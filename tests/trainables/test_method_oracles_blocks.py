"""The methods that draw anew or rearrange a part of the network and train on D_r, against naive restatements."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from salun_grid.trainables.architectures import build_model
from salun_grid.trainables.methods import METHODS, Unlearning, unlearn
from salun_grid.trainables.methods.ct import transpose_kernels
from salun_grid.trainables.methods.msg import triangle
from salun_grid.trainables.protocol import AugmentationConfig, Protocol, TrainingConfig, UnlearningConfig
from salun_grid.trainables.resident import Augmenter, ResidentData
from salun_grid.trainables.seeds import Seeds
from salun_grid.trainables.training import train
from tests.support.oracles import augment, equal_lists, equal_states, stream, tiny_model
from tests.support.restatements import batches, descend
from tests.support.unlearning import BATCH, FORGET, RATE, RETAIN, SEEDS, unlearned

EPOCHS = 2
KNOWN = Protocol(unlearning=UnlearningConfig(epochs=EPOCHS, batch_size=BATCH, learning_rate=RATE))


pytestmark = pytest.mark.usefixtures("double_precision")


def made(method: str, data: ResidentData) -> nn.Module:
    return unlearned(method, data, settings=KNOWN)


def assert_close(ours: nn.Module, theirs: nn.Module) -> None:
    for mine, wanted in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-8, atol=1e-10)
    assert not equal_states(ours, tiny_model())


# --- EU-k ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["none", "default+ra"])
def test_eu_k_with_all_blocks_is_the_retrain_bit_for_bit(data, name):
    """With its epochs, learning rate, milestones and seeds."""
    seeds = Seeds.all(5)
    config = TrainingConfig(epochs=4, batch_size=BATCH, learning_rate=0.05, milestones=(0.5, 0.75))
    augmenter = Augmenter(name, AugmentationConfig(), seeds.augmentation)
    retrain = build_model(tiny_model().config, data.num_classes, seeds.initialisation)
    train(retrain, data, RETAIN, config, augmenter, seeds)
    own = METHODS["eu_k"].settings(k=99, epochs=4, batch_size=BATCH, learning_rate=0.05, milestones=(0.5, 0.75))
    for original in (tiny_model(), tiny_model(seed=1)):
        subsets = data.forget_and_retain(FORGET, RETAIN)
        unlearn(METHODS["eu_k"], Unlearning(original, original, data, *subsets, own, augmenter, seeds), None)
        assert equal_states(original, retrain)


def test_eu_k_draws_and_trains_the_last_block_alone(data):
    """A loop with the last layer's weights in the optimizer, from those of a fresh model."""
    model = tiny_model()
    model.fc = build_model(model.config, data.num_classes, SEEDS.unlearning).fc
    model.train()
    optimizer = torch.optim.SGD(model.fc.parameters(), lr=RATE, momentum=0.9, weight_decay=5e-4)
    for epoch in range(EPOCHS):
        for images, labels, _ in batches(data, "train", RETAIN, epoch):
            descend(optimizer, nn.functional.cross_entropy(model(images), labels))
    assert_close(made("eu_k", data), model)


@pytest.mark.parametrize(("k", "moved"), [(1, ["fc"]), (2, ["layer4", "fc"])])
def test_eu_k_leaves_the_weights_of_the_other_blocks(data, k, moved):
    ours, before = made(f"eu_k:k={k}", data), tiny_model()
    for (name, after), first in zip(ours.named_parameters(), before.parameters(), strict=True):
        assert torch.equal(after, first) is not any(name.startswith(f"{block}.") for block in moved)
        assert after.requires_grad


def test_what_eu_k_draws_depends_on_the_unlearning_seed(data):
    tiny_rate = Protocol(unlearning=UnlearningConfig(epochs=1, batch_size=BATCH, learning_rate=1e-12))
    one, other = (
        unlearned("eu_k", data, seeds=replace(SEEDS, unlearning=seed), settings=tiny_rate).fc.weight for seed in (4, 5)
    )
    assert not torch.allclose(one, other, rtol=0.1)


# --- MSG ----------------------------------------------------------------------------------------------------


def score_sums(data: ResidentData) -> list[Tensor]:
    """∇CE_r − ∇CE_f of 30 images each, one backward pass for each image."""
    model = tiny_model().eval()
    order = torch.randperm(60, generator=stream(SEEDS.unlearning, "msg", "retain"))[:30]
    for indices, sign in ((RETAIN[order], 1), (FORGET, -1)):
        images = augment(data.images["train"][indices], "none", AugmentationConfig(), stream(0))
        for image, label in zip(images, data.labels["train"][indices], strict=True):
            (sign * nn.functional.cross_entropy(model(image[None]), label[None])).backward()
    return [weight.grad for weight in model.parameters()]


def test_msg(data):
    """Weight by weight: the lowest scores of a layer are drawn anew, the others take a tenth of the gradient."""
    model, generator = tiny_model(), stream(SEEDS.unlearning, "msg", "weights")
    factors: dict[str, Tensor] = {}
    convolutions = {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}
    for (name, weight), score in zip(model.named_parameters(), score_sums(data), strict=True):
        if name in convolutions:
            fan_out = weight.shape[0] * weight.shape[2] * weight.shape[3]
            fresh = torch.randn(weight.shape, generator=generator).view(-1) * (2 / fan_out) ** 0.5
            flat = score.abs().reshape(-1).tolist()
            ranked = sorted(range(len(flat)), key=lambda i, flat=flat: flat[i])
            factors[name] = torch.full((len(flat),), 0.1)
            for i in ranked[: round(0.4 * len(flat))]:
                weight.data.view(-1)[i], factors[name][i] = fresh[i], 1.0
    assert len(factors) == 20
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9, weight_decay=5e-4)
    for epoch, factor in enumerate([1 / 2, 2 / 2, 1 / 2]):
        optimizer.param_groups[0]["lr"] = RATE * factor
        for images, labels, _ in batches(data, "retain", RETAIN, epoch):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), labels).backward()
            for name, weight in model.named_parameters():
                if name in factors:
                    weight.grad *= factors[name].view(weight.shape)
            optimizer.step()
    assert_close(made("msg:fraction=0.4,epochs=3", data), model)


@pytest.mark.parametrize(
    ("epochs", "factors"),
    [(1, [1]), (2, [1, 1 / 2]), (4, [1 / 2, 1, 2 / 3, 1 / 3]), (5, [1 / 3, 2 / 3, 1, 2 / 3, 1 / 3])],
)
def test_the_learning_rate_of_msg_is_a_triangle(epochs, factors):
    assert [triangle(epoch, epochs) for epoch in range(epochs)] == pytest.approx(factors)


def test_msg_without_a_fraction_draws_nothing(data):
    """It still moves slowly, which is what the rate of a tenth does."""
    tiny_rate = Protocol(unlearning=UnlearningConfig(epochs=1, batch_size=BATCH, learning_rate=1e-12))
    ours = unlearned("msg:fraction=0", data, settings=tiny_rate)
    for weight, before in zip(ours.parameters(), tiny_model().parameters(), strict=True):
        torch.testing.assert_close(weight, before)


# --- CT -----------------------------------------------------------------------------------------------------


def test_ct(data):
    """Kernels value by value, then SGD with a cosine."""
    model = tiny_model()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            first = module.weight.detach().clone()
            for row in range(first.shape[2]):
                for column in range(first.shape[3]):
                    module.weight.data[:, :, row, column] = first[:, :, column, row]
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9, weight_decay=5e-4)
    for epoch, factor in enumerate([1.0, 0.75, 0.25]):
        optimizer.param_groups[0]["lr"] = RATE * factor
        for images, labels, _ in batches(data, "retain", RETAIN, epoch):
            descend(optimizer, nn.functional.cross_entropy(model(images), labels))
    assert_close(made("ct:epochs=3", data), model)


def test_kernels_transposed_twice_are_the_kernels_and_no_other_shape_is_touched():
    model = nn.Sequential(tiny_model(), nn.Conv2d(1, 1, (1, 3)))
    before = [weight.detach().clone() for weight in model.parameters()]
    transpose_kernels(model)
    assert not equal_lists([*model.parameters()], before)
    assert torch.equal(model[1].weight, before[-2])
    transpose_kernels(model)
    assert equal_lists([*model.parameters()], before)
