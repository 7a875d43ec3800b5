"""ResNet-18 against torchvision's, its size in multiply-accumulates, and its initialisation."""

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from salun_grid.trainables.architectures import ResNet18, build_model, count_macs
from salun_grid.trainables.protocol import ModelConfig
from tests.support.oracles import equal_states


def torchvision_model(stem: str, num_classes: int) -> nn.Module:
    """torchvision's ResNet-18 with random weights and statistics; the 3×3 stem as CIFAR codes have it."""
    torch.manual_seed(0)
    model = resnet18(weights=None, num_classes=num_classes)
    if stem == "3x3":
        model.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
        model.maxpool = nn.Identity()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean):
                nn.init.normal_(tensor, 0.5, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return model


def hooked_macs(config: ModelConfig, num_classes: int, image_size: int) -> int:
    """Outputs × multiplications for each, summed by hooks in a forward pass without memory."""
    total = 0

    def count(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        nonlocal total
        total += output.numel() * module.weight[0].numel()

    with torch.device("meta"):
        model = ResNet18(config, num_classes).eval()
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.register_forward_hook(count)
        model(torch.zeros(1, 3, image_size, image_size))
    return total


@pytest.mark.parametrize("stem", ["imagenet", "3x3"])
def test_names_shapes_and_logits_equal_torchvisions(stem):
    """At width 64, once torchvision's model is given the pixels as ours normalises them."""
    theirs = torchvision_model(stem, 9)
    config = ModelConfig(stem=stem, pixel_mean=0.4, pixel_std=0.3)
    ours = build_model(config, 9, seed=0)
    shapes = {name: tensor.shape for name, tensor in theirs.state_dict().items()}
    assert {name: tensor.shape for name, tensor in ours.state_dict().items()} == shapes
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    ours.load_state_dict(theirs.state_dict())
    images = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        got = ours.double().eval()(images)
        wanted = theirs.double().eval()((images - 0.4) / 0.3)
    assert wanted.std() > 0.01
    torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("stem", ["imagenet", "3x3"])
@pytest.mark.parametrize("image_size", [8, 28, 33, 64, 224])
@pytest.mark.parametrize(("width", "num_classes"), [(64, 9), (5, 11)])
def test_count_macs_equals_the_hooks(stem, image_size, width, num_classes):
    config = ModelConfig(stem=stem, width=width)
    assert count_macs(config, num_classes, image_size) == hooked_macs(config, num_classes, image_size)


def test_count_macs_of_the_design():
    assert f"{count_macs(ModelConfig(), 9, 64) / 1e9:.3f}" == "2.222"
    assert f"{count_macs(ModelConfig(stem='imagenet'), 9, 64) / 1e9:.3f}" == "0.148"


@pytest.mark.parametrize("num_classes", [9, 11, 8])
@pytest.mark.parametrize("stem", ["imagenet", "3x3"])
def test_logits_have_one_column_a_class(stem, num_classes):
    model = build_model(ModelConfig(stem=stem, width=4), num_classes, seed=0).eval()
    logits = model(torch.rand(3, 3, 16, 16))
    assert logits.shape == (3, num_classes)
    assert logits.isfinite().all()


def test_bytes_and_unit_floats_are_the_same_image():
    model = build_model(ModelConfig(width=4), 9, seed=0).eval()
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    before = images.clone()
    assert torch.equal(model(images), model(images / 255))
    assert torch.equal(images, before)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    config = ModelConfig(width=4)
    torch.manual_seed(1)
    first = build_model(config, 9, seed=3)
    torch.manual_seed(2)
    assert equal_states(first, build_model(config, 9, seed=3))
    other = build_model(config, 9, seed=4)
    assert not torch.equal(first.conv1.weight, other.conv1.weight)
    assert not torch.equal(first.fc.weight, other.fc.weight)


def test_build_model_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    build_model(ModelConfig(width=4), 9, seed=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_initialisation_is_kaiming_fan_out():
    """Every convolution's weights have mean 0 and variance 2 / (kernel area × channels out)."""
    model = build_model(ModelConfig(width=32), 9, seed=0)
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert (len(convolutions), len(norms)) == (20, 20)
    for layer in convolutions:
        weights = layer.weight.detach().flatten()
        wanted = (2 / (layer.kernel_size[0] * layer.kernel_size[1] * layer.out_channels)) ** 0.5
        assert abs(weights.mean().item()) < 4 * wanted / len(weights) ** 0.5
        assert weights.std().item() == pytest.approx(wanted, rel=4 / (2 * len(weights)) ** 0.5)
    assert all((layer.weight == 1).all() and (layer.bias == 0).all() for layer in norms)


@pytest.mark.parametrize("stem", ["imagenet", "3x3"])
def test_bf16_is_the_same_model_up_to_its_rounding(stem):
    """Logits, gradients and statistics are float32, near fp32's and not equal to them."""
    images = torch.rand(16, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    outcome = {}
    for precision in ("fp32", "bf16"):
        model = build_model(ModelConfig(stem=stem, width=8, precision=precision), 9, seed=0)
        logits = model(images)
        nn.functional.cross_entropy(logits, torch.arange(16) % 9).backward()
        outcome[precision] = (logits.detach(), model.bn1.running_var, model.layer1[0].conv1.weight.grad)
    # Images of noise leave small gradients, in which rounding shows most: 0.35 measured.
    for exact, rounded, allowed in zip(outcome["fp32"], outcome["bf16"], (0.1, 1e-3, 0.6), strict=True):
        assert exact.dtype == rounded.dtype == torch.float32
        assert 0 < (exact - rounded).norm() / exact.norm() < allowed
    # The head works in float32: hardly two of 144 logits are tied, as bf16's 8 bits would tie them.
    assert len(outcome["bf16"][0].unique()) > 140
