"""Weights with torchvision's names give torchvision's logits, and networks of timm meet the contracts of the others."""

import sys

import pytest
import timm
import torch
import torchvision
from torch import nn

from salun_grid.records.errors import InputError
from salun_grid.trainables.architectures import architecture_of, build_model, check_architecture, loaded_model
from salun_grid.trainables.architectures.weights import model_of_weights
from salun_grid.trainables.protocol import ModelConfig
from tests.support.oracles import equal_states

CLASSES = 5


def images(side: int) -> torch.Tensor:
    return torch.randint(0, 256, (4, 3, side, side), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def theirs(name: str) -> nn.Module:
    """torchvision's network with a head for five classes."""
    torch.manual_seed(0)
    return getattr(torchvision.models, name)(num_classes=CLASSES).eval()


CASES = [
    ("resnet18", {"stem": "imagenet"}, 64),
    ("resnet50", {}, 64),
    ("densenet121", {}, 64),
    pytest.param("vit_b_16", {}, 224, marks=pytest.mark.slow, id="vit_b_16"),
]


@pytest.mark.parametrize(("name", "settings", "side"), CASES)
def test_weights_of_torchvision_give_its_logits(name, settings, side) -> None:
    network = theirs(name)
    model = model_of_weights(ModelConfig(architecture=name, **settings), CLASSES, network.state_dict()).eval()
    pixels = images(side)
    with torch.inference_mode():
        wanted = network((pixels / 255 - 0.5) / 0.5)
        torch.testing.assert_close(model(pixels), wanted, rtol=1e-4, atol=1e-4)


def test_names_of_data_parallel_and_our_own_are_known() -> None:
    config = ModelConfig(architecture="resnet50")
    network = theirs("resnet50")
    wrapped = {f"module.{name}": tensor.double() for name, tensor in network.state_dict().items()}
    model = model_of_weights(config, CLASSES, wrapped)
    assert model.fc.weight.dtype == torch.float32
    assert equal_states(model, model_of_weights(config, CLASSES, model.state_dict()))


@pytest.mark.parametrize(
    ("config", "classes", "message"),
    [
        (ModelConfig(architecture="densenet121"), CLASSES, "do not fit densenet121: they lack .* and 6"),
        (ModelConfig(stem="imagenet"), 7, r"fc.bias has shape \(5,\) in the weights and \(7,\) in resnet18"),
        (ModelConfig(stem="3x3"), CLASSES, r"conv1.weight has shape \(64, 3, 7, 7\) .* model.stem"),
    ],
)
def test_other_weights_are_refused_in_a_sentence(config, classes, message) -> None:
    weights = theirs("resnet18").state_dict()
    with pytest.raises(InputError, match=message):
        model_of_weights(config, classes, dict(reversed(weights.items())))


def test_weights_besides_are_refused() -> None:
    weights = theirs("resnet18").state_dict() | {"extra.weight": torch.zeros(1)}
    with pytest.raises(InputError, match=r"also have extra\.weight"):
        model_of_weights(ModelConfig(stem="imagenet"), CLASSES, weights)


# --- timm ---------------------------------------------------------------------------------------------------

NETWORKS = ["timm:resnet10t", "timm:vit_tiny_patch16_224", "timm:swin_tiny_patch4_window7_224", "timm:convnext_atto"]


@pytest.mark.parametrize("name", NETWORKS)
class TestTimm:
    def test_logits_and_seed(self, name):
        config = ModelConfig(architecture=name)
        model, again = (build_model(config, CLASSES, seed=3).eval() for _ in range(2))
        assert equal_states(model, again)
        logits = model(images(64))
        assert (logits.shape, logits.dtype) == ((4, CLASSES), torch.float32) and logits.isfinite().all()

    def test_weights_can_be_published_and_loaded(self, name):
        config = ModelConfig(architecture=name)
        model = build_model(config, CLASSES, seed=0).eval()
        loaded = loaded_model(config, CLASSES, {key: tensor.clone() for key, tensor in model.state_dict().items()})
        assert torch.equal(model(images(64)), loaded.eval()(images(64)))


def test_the_features_are_timms() -> None:
    model = build_model(ModelConfig(architecture="timm:resnet10t"), CLASSES, seed=0).eval()
    network = timm.create_model("resnet10t", num_classes=CLASSES).eval()
    network.load_state_dict(
        {name.removeprefix("net."): tensor for name, tensor in model.state_dict().items()}, strict=True
    )
    pixels = images(64)
    torch.testing.assert_close(model(pixels), network((pixels / 255 - 0.5) / 0.5))


def test_an_unknown_network_names_the_nearest() -> None:
    with pytest.raises(InputError, match="Did you mean 'timm:resnet10t'"):
        architecture_of("timm:resnet10tt")


def test_a_size_that_a_network_does_not_take_is_refused() -> None:
    with pytest.raises(InputError, match="does not support images of 20 px"):
        check_architecture(ModelConfig(architecture="timm:vit_tiny_patch16_224"), CLASSES, 20)


def test_without_timm_the_message_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(InputError, match=r"install it with: pip install 'salun-grid\[grid,timm\]'"):
        architecture_of("timm:resnet11")
