"""Untrained torchvision networks with the last layer sized for the dataset's classes."""

from collections.abc import Callable
from math import isqrt
from typing import Any

import torch
from torch import Tensor, nn

from salun_grid.trainables.architectures.base import Architecture, Classifier
from salun_grid.trainables.layout import memory_layout
from salun_grid.trainables.protocol import ModelConfig


class TorchvisionNet(Classifier):
    """A torchvision network whose last linear layer, named `last`, is replaced by `fc`."""

    def __init__(self, config: ModelConfig, num_classes: int, make: Callable[[], nn.Module], last: str) -> None:
        super().__init__(config)
        self.net = make()
        layer: Any = self.net.get_submodule(last)
        parent, _, leaf = last.rpartition(".")
        setattr(self.net.get_submodule(parent), leaf, nn.Identity())
        self.fc = nn.Linear(layer.in_features, num_classes)
        self.memory_format = memory_layout(self).format

        self.last = last

    def features(self, x: Tensor) -> Tensor:
        return self.net(x)

    def own_name(self, name: str) -> str:
        return f"fc{name.removeprefix(self.last)}" if name.startswith(f"{self.last}.") else f"net.{name}"


class VisionTransformer(TorchvisionNet):
    """A torchvision vision transformer with position embeddings interpolated to the image size."""

    def features(self, x: Tensor) -> Tensor:
        net: Any = self.net
        patches = net.conv_proj(x)
        positions = interpolated(net.encoder.pos_embedding, patches.shape[2], patches.shape[3])
        tokens = torch.cat([net.class_token.expand(len(x), -1, -1), patches.flatten(2).transpose(1, 2)], dim=1)
        encoded = net.encoder.layers(net.encoder.dropout(tokens + positions))
        return net.encoder.ln(encoded)[:, 0]


def interpolated(positions: Tensor, height: int, width: int) -> Tensor:
    """Bicubic resize of position embeddings, class token first: (1, 1 + side², dim) → (1, 1 + height · width, dim)."""
    token, grid = positions[:, :1], positions[:, 1:]
    side = isqrt(grid.shape[1])
    if (height, width) == (side, side):
        return positions
    square = grid.transpose(1, 2).unflatten(2, (side, side))
    resized = nn.functional.interpolate(square, (height, width), mode="bicubic", align_corners=False)
    return torch.cat([token, resized.flatten(2).transpose(1, 2)], dim=1)


def resnet50() -> nn.Module:
    from torchvision.models import resnet50 as make  # the import takes seconds

    return make()


def densenet121() -> nn.Module:
    from torchvision.models import densenet121 as make

    return make()


def vit_b_16() -> nn.Module:
    from torchvision.models import vit_b_16 as make

    return make()


def _builder(
    kind: type[TorchvisionNet], make: Callable[[], nn.Module], last: str
) -> Callable[[ModelConfig, int], TorchvisionNet]:
    return lambda config, num_classes: kind(config, num_classes, make, last)


RESNET50 = Architecture(
    _builder(TorchvisionNet, resnet50, "fc"), "torchvision's resnet50, ImageNet stem", "He et al. 2016", smallest=32
)
DENSENET121 = Architecture(
    _builder(TorchvisionNet, densenet121, "classifier"),
    "torchvision's densenet121, ImageNet stem",
    "Huang et al. 2017",
    smallest=32,
)
VIT_B_16 = Architecture(
    _builder(VisionTransformer, vit_b_16, "heads.head"),
    "torchvision's vit_b_16: patches of 16 px, positions interpolated",
    "Dosovitskiy et al. 2021; recipe of Touvron et al. 2021",
    recipe={  # their learning rate is 5e-4 · batch / 512
        "optimizer": "adamw",
        "schedule": "cosine",
        "learning_rate": 2.5e-4,
        "weight_decay": 0.05,
        "warmup_epochs": 5,
    },
    multiple_of=16,
    smallest=32,
)
