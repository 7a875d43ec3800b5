"""The interface of an architecture, and the base class of every model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from salun_grid.trainables.protocol import ModelConfig


class Classifier(nn.Module):
    """Base class of models: images, float in [0, 1] or uint8, (N, 3, H, W) → logits, float (N, num_classes).

    It handles uint8 to float conversion, normalisation, memory layout, bf16 autocast, and the last layer `fc` in
    float32. A subclass sets `fc` and `memory_format`, and implements `features`.
    """

    fc: nn.Linear
    memory_format: torch.memory_format

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.pixel_mean, self.pixel_std = config.pixel_mean, config.pixel_std
        self.bf16 = config.precision == "bf16"

    def features(self, x: Tensor) -> Tensor:
        """Normalised images, float (N, 3, H, W) → the last layer's input, (N, fc.in_features)."""
        raise NotImplementedError

    def own_name(self, name: str) -> str:
        """This model's name for the weight that torchvision calls `name`."""
        return name

    def forward(self, images: Tensor) -> Tensor:
        x = images / 255 if images.dtype == torch.uint8 else images
        x = ((x - self.pixel_mean) / self.pixel_std).contiguous(memory_format=self.memory_format)
        if not self.bf16:
            return self.fc(self.features(x))
        with torch.autocast(x.device.type, torch.bfloat16):
            features = self.features(x)
        # With bf16's 8 bits of mantissa, the probabilities that the membership inference attack ranks would tie.
        return self.fc(features.float())


@dataclass(frozen=True)
class Architecture:
    """An entry of ARCHITECTURES. `build` makes a freshly initialised model on the CPU from the seeded global generator.

    `recipe` holds `training` settings that replace the protocol's unless the study sets them. `shaped` says whether
    `model.stem` and `model.width` apply. The image side, in pixels, must be a multiple of `multiple_of` and at least
    `smallest`.
    """

    build: Callable[[ModelConfig, int], Classifier]
    what: str
    source: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    shaped: bool = False
    multiple_of: int = 1
    smallest: int = 8
