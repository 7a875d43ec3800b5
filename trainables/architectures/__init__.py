"""Registry of architectures: each has a builder in a module of this package and an entry in ARCHITECTURES."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

import torch

from salun_grid.records.errors import InputError, unknown_choice
from salun_grid.trainables.architectures import resnet18, timm_nets, torchvision_nets, vit_small
from salun_grid.trainables.architectures.base import Architecture, Classifier
from salun_grid.trainables.architectures.resnet18 import ResNet18
from salun_grid.trainables.layout import laid_out
from salun_grid.trainables.protocol import ModelConfig, Protocol
from salun_grid.trainables.seeds import derived_seed

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "Classifier",
    "ResNet18",
    "architecture_of",
    "build_model",
    "check_architecture",
    "count_macs",
    "count_weights",
    "described",
    "loaded_model",
    "with_architecture",
]

ARCHITECTURES: dict[str, Architecture] = {
    "resnet18": resnet18.ARCHITECTURE,
    "resnet50": torchvision_nets.RESNET50,
    "densenet121": torchvision_nets.DENSENET121,
    "vit_small": vit_small.ARCHITECTURE,
    "vit_b_16": torchvision_nets.VIT_B_16,
}


def architecture_of(name: str) -> Architecture:
    """The entry of ARCHITECTURES, or a timm network given as `timm:NAME`. Raises InputError for an unknown name."""
    if name.startswith(timm_nets.PREFIX):
        return timm_nets.architecture(name)
    if name not in ARCHITECTURES:
        raise unknown_choice("model.architecture", name, list(ARCHITECTURES), "salun-grid architectures")
    return ARCHITECTURES[name]


def build_model(config: ModelConfig, num_classes: int, seed: int) -> Classifier:
    """A freshly initialised model on the CPU; the same seed gives the same weights on every device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, "initialisation"))
        return laid_out(architecture_of(config.architecture).build(config, num_classes))


def without_values(config: ModelConfig, num_classes: int) -> Classifier:
    """The model on the meta device: shapes alone, without the time of an initialisation."""
    with torch.device("meta"):
        return architecture_of(config.architecture).build(config, num_classes)


def loaded_model(config: ModelConfig, num_classes: int, weights: Mapping[str, torch.Tensor]) -> Classifier:
    """A model with the given weights, on their device. Raises RuntimeError if they do not match the model."""
    model = without_values(config, num_classes)
    model.load_state_dict(weights, assign=True)
    if any(buffer.is_meta for buffer in model.buffers()):  # buffers that are computed, not saved
        model = build_model(config, num_classes, seed=0).to(next(iter(weights.values())).device)
        model.load_state_dict(weights)
    return laid_out(model)


def check_architecture(config: ModelConfig, num_classes: int, image_size: int) -> None:
    """Raise InputError if the architecture does not support the settings or the image size (in pixels)."""
    name, found = config.architecture, architecture_of(config.architecture)
    plain = ModelConfig()
    if not found.shaped and (config.stem, config.width) != (plain.stem, plain.width):
        raise InputError(f"model.stem and model.width apply only to resnet18; leave them out with {name}.")
    if image_size % found.multiple_of or image_size < found.smallest:
        multiple = f" in multiples of {found.multiple_of}" if found.multiple_of > 1 else ""
        raise InputError(f"{name} needs images of at least {found.smallest} px{multiple}, not {image_size} px.")
    if not found.shaped:
        try:
            count_macs(config, num_classes, image_size)  # kept for the plan
        except (RuntimeError, ValueError, AssertionError) as error:
            reason = str(error).partition("\n")[0]
            raise InputError(f"{name} does not support images of {image_size} px: {reason}.") from None


def with_architecture(protocol: Protocol, name: str) -> Protocol:
    """`protocol` with the architecture `name` and its recipe. Raises InputError for an unknown name."""
    found, plain = architecture_of(name), ModelConfig()
    model = replace(protocol.model, architecture=name)
    if not found.shaped:  # the protocol may have set them for another architecture
        model = replace(model, stem=plain.stem, width=plain.width)
    return replace(protocol, model=model, training=replace(protocol.training, **found.recipe))


def described(config: ModelConfig) -> str:
    """The value of the column `model`: the architecture, with its stem and width if it has them."""
    shape = f", {config.stem} stem, width {config.width}" if architecture_of(config.architecture).shaped else ""
    return f"{config.architecture}{shape}"


@lru_cache(maxsize=1024)
def count_macs(config: ModelConfig, num_classes: int, image_size: int) -> int:
    """Multiply-accumulates of one image's forward pass.

    resnet18 uses a formula, since counting on the meta device takes seconds; the others use PyTorch's counter.
    """
    if config.architecture == "resnet18":
        return resnet18.count_macs(config, num_classes, image_size)
    from torch.utils.flop_counter import FlopCounterMode

    model = without_values(replace(config, precision="fp32"), num_classes).eval()
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, image_size, image_size, device="meta"))
    return counter.get_total_flops() // 2


@lru_cache(maxsize=1024)
def count_weights(config: ModelConfig, num_classes: int) -> int:
    """The number of parameters."""
    return sum(parameter.numel() for parameter in without_values(config, num_classes).parameters())
