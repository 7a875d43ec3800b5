"""Boundary unlearning against naive restatements."""

import pytest
import torch
from torch import Tensor, nn

from salun_grid.records.errors import InputError
from salun_grid.trainables.methods import METHODS
from salun_grid.trainables.methods.boundary_shrink import fast_gradient_sign
from salun_grid.trainables.methods.head import last_layer
from salun_grid.trainables.passes import Epoch
from salun_grid.trainables.protocol import Protocol, UnlearningConfig
from salun_grid.trainables.resident import ResidentData
from tests.support.oracles import equal_states, stream, tiny_model
from tests.support.restatements import batches, descend
from tests.support.unlearning import BATCH, FORGET, RATE, SEEDS, unlearned

EPOCHS = 2
KNOWN = Protocol(unlearning=UnlearningConfig(epochs=EPOCHS, batch_size=BATCH, learning_rate=RATE))


pytestmark = pytest.mark.usefixtures("double_precision")


def made(method: str, data: ResidentData) -> nn.Module:
    return unlearned(method, data, settings=KNOWN)


def plain_sgd(model: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9)


def assert_close(ours: nn.Module, theirs: nn.Module) -> None:
    for mine, wanted in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-8, atol=1e-10)
    assert not equal_states(ours, tiny_model())


# --- shrink -------------------------------------------------------------------------------------------------


def attacked(model: nn.Module, image: Tensor, label: Tensor, bound: float) -> Tensor:
    """One image, pixel by pixel: up where the loss rises with it, down where it falls."""
    pixels = (image / 255).clone().requires_grad_(True)
    nn.functional.cross_entropy(model(pixels[None]), label[None]).backward()
    moved = image.clone().reshape(-1)
    for i, slope in enumerate(pixels.grad.reshape(-1).tolist()):
        step = 255 * bound * ((slope > 0) - (slope < 0))
        moved[i] = min(max(round(moved[i].item() + step), 0), 255)
    return moved.view(image.shape)


@pytest.mark.parametrize("bound", [0.1, 0.3])
def test_boundary_shrink(data, bound):
    model, original = tiny_model().train(), tiny_model().eval()
    optimizer = plain_sgd(model)
    num_moved = 0
    for epoch in range(EPOCHS):
        for images, labels, _ in batches(data, "forget", FORGET, epoch):
            nearest = []
            for image, label in zip(images, labels, strict=True):
                neighbour = attacked(original, image, label, bound)
                nearest.append(original(neighbour[None]).argmax().item())
                num_moved += nearest[-1] != original(image[None]).argmax().item()
            descend(optimizer, nn.functional.cross_entropy(model(images), torch.tensor(nearest)))
    assert num_moved > 0
    assert_close(made(f"boundary_shrink:bound={bound}", data), model)


def test_the_attack_stays_within_its_bound_and_raises_the_loss(data):
    model = tiny_model().eval()
    images = data.images["train"][:40].permute(0, 3, 1, 2).expand(-1, 3, -1, -1)
    labels = data.labels["train"][:40]
    neighbours = fast_gradient_sign(model, images, labels, 10 / 255)
    assert neighbours.dtype == torch.uint8
    assert (neighbours.int() - images.int()).abs().max() == 10
    before, after = (nn.functional.cross_entropy(model(x), labels) for x in (images, neighbours))
    assert after > before
    assert all(weight.grad is None for weight in model.parameters())


def test_each_epoch_attacks_and_then_trains(data):
    records: list[Epoch] = []
    unlearned("boundary_shrink", data, settings=KNOWN, on_epoch=records.append)
    assert [(record.epoch, record.phase) for record in records] == [
        (0, "attack"),
        (0, "forget"),
        (1, "attack"),
        (1, "forget"),
    ]


# --- expand -------------------------------------------------------------------------------------------------


def widened() -> nn.Module:
    """The tiny model with an 11th class: a row of Xavier's spread, and a bias of 0."""
    model = tiny_model()
    wide = nn.Linear(32, 11)
    row = torch.randn(32, generator=stream(SEEDS.unlearning, "boundary_expand", "extra class"))
    with torch.no_grad():
        for i in range(10):
            wide.weight[i], wide.bias[i] = model.fc.weight[i], model.fc.bias[i]
        wide.weight[10], wide.bias[10] = row * (2 / (32 + 11)) ** 0.5, 0.0
    model.fc = wide
    return model


def narrowed(model: nn.Module) -> nn.Module:
    narrow = nn.Linear(32, 10)
    with torch.no_grad():
        for i in range(10):
            narrow.weight[i], narrow.bias[i] = model.fc.weight[i], model.fc.bias[i]
    model.fc = narrow
    return model


def test_boundary_expand(data):
    model = widened().train()
    optimizer = plain_sgd(model)
    for epoch in range(EPOCHS):
        for images, labels, _ in batches(data, "forget", FORGET, epoch):
            descend(optimizer, nn.functional.cross_entropy(model(images), torch.full_like(labels, 10)))
    assert_close(made("boundary_expand", data), narrowed(model))


@pytest.mark.parametrize("variant", ["boundary_expand", "boundary_expand:mask.fraction=0.3,mask.mode=hard"])
def test_boundary_expand_leaves_as_many_logits_as_classes(data, variant):
    model = made(variant, data)
    assert model(torch.zeros(2, 3, 8, 8, dtype=torch.uint8)).shape == (2, data.num_classes)
    assert (model.fc.out_features, [*model.fc.weight.shape]) == (10, [10, 32])
    assert [name for name, _ in model.named_parameters()] == [name for name, _ in tiny_model().named_parameters()]
    assert all(weight.requires_grad for weight in model.parameters())


def test_a_model_without_a_linear_last_layer_is_refused():
    with pytest.raises(InputError, match="no linear layer with 10 outputs"):
        last_layer(nn.Sequential(nn.Conv2d(3, 10, 1)), 10)
    assert last_layer(tiny_model(), 10).out_features == 10


def test_neither_needs_d_r():
    for method in ("boundary_shrink", "boundary_expand"):
        assert METHODS[method].passes(METHODS[method].settings()).retain == 0
