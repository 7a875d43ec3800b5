"""Untrained torchvision networks with a last layer for the dataset's classes."""

from collections.abc import Callable
from typing import Any

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
        setattr(self.net, last, nn.Identity())
        self.fc = nn.Linear(layer.in_features, num_classes)
        self.memory_format = memory_layout(self).format

    def features(self, x: Tensor) -> Tensor:
        return self.net(x)


def resnet50() -> nn.Module:
    from torchvision.models import resnet50 as make  # costs seconds

    return make()


def densenet121() -> nn.Module:
    from torchvision.models import densenet121 as make

    return make()


def _net(make: Callable[[], nn.Module], last: str, what: str, source: str) -> Architecture:
    def build(config: ModelConfig, num_classes: int) -> TorchvisionNet:
        return TorchvisionNet(config, num_classes, make, last)

    return Architecture(build, what, source, smallest=32)


RESNET50 = _net(resnet50, "fc", "torchvision's resnet50, ImageNet stem", "He et al. 2016")
DENSENET121 = _net(densenet121, "classifier", "torchvision's densenet121, ImageNet stem", "Huang et al. 2017")
