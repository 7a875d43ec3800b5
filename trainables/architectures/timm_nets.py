"""Untrained timm image classifiers, named `timm:NAME`; timm is an optional dependency."""

from functools import cache
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from salun_grid.records.errors import InputError, unknown_choice
from salun_grid.trainables.architectures.base import Architecture, Classifier
from salun_grid.trainables.layout import memory_layout
from salun_grid.trainables.protocol import ModelConfig

PREFIX = "timm:"


class TimmNet(Classifier):
    """A timm network whose classifier is replaced by `fc` on the pooled features."""

    def __init__(self, config: ModelConfig, num_classes: int) -> None:
        super().__init__(config)
        self.net = create(config.architecture.removeprefix(PREFIX))
        self.fc = nn.Linear(self.net.head_hidden_size, num_classes)
        self.memory_format = memory_layout(self).format

    def features(self, x: Tensor) -> Tensor:
        return self.net(x)


def create(name: str) -> Any:
    """The network without its last layer; accepts images of any size if the network supports it."""
    timm = installed()
    try:
        return timm.create_model(name, num_classes=0, dynamic_img_size=True)
    except TypeError:  # only transformers take this argument
        return timm.create_model(name, num_classes=0)


@cache
def architecture(name: str) -> Architecture:
    """`timm:NAME`. Raises InputError if timm is not installed or has no such network."""
    known = installed().list_models()
    if name.removeprefix(PREFIX) not in known:
        raise unknown_choice("model.architecture", name, [PREFIX + each for each in known], "timm.list_models()")
    return Architecture(TimmNet, f"timm's {name.removeprefix(PREFIX)}", "timm", smallest=1)


def installed() -> ModuleType:
    try:
        import timm
    except ImportError:
        raise InputError(
            "architectures named timm:NAME need timm; install it with: pip install 'salun-grid[grid,timm]'."
        ) from None
    return timm
