"""ResNet-18 (He et al. 2016) with SalUn's 3×3 stem or the ImageNet stem, normalisation inside.

Parameter names follow torchvision's `resnet18`, so published weights load there (at width 64).
"""

import torch
from torch import Tensor, nn

from salun_grid.trainables.architectures.base import Architecture, Classifier
from salun_grid.trainables.layout import memory_layout
from salun_grid.trainables.protocol import ModelConfig

STAGE_STRIDES = (1, 2, 2, 2)


class ResNet18(Classifier):
    """ResNet-18 of any width, with SalUn's stem or the ImageNet stem."""

    def __init__(self, config: ModelConfig, num_classes: int) -> None:
        super().__init__(config)
        width = config.width
        if config.stem == "imagenet":
            self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
            self.maxpool: nn.Module = nn.MaxPool2d(3, stride=2, padding=1)
        else:
            self.conv1 = nn.Conv2d(3, width, 3, stride=1, padding=1, bias=False)
            self.maxpool = nn.Identity()
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        channels = [width, width, 2 * width, 4 * width, 8 * width]
        for stage, stride in enumerate(STAGE_STRIDES, start=1):
            self.add_module(f"layer{stage}", _stage(channels[stage - 1], channels[stage], stride))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8 * width, num_classes)
        self.memory_format = memory_layout(self).format

    def features(self, x: Tensor) -> Tensor:
        """Normalised images, float (N, 3, H, W) → the last layer's input, (N, 8 · width)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        return torch.flatten(self.avgpool(x), 1)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with a shortcut, which is a 1×1 convolution where the shape changes."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels_in != channels_out:
            shortcut = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(channels_out))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + shortcut)


def _stage(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(channels_in, channels_out, stride), BasicBlock(channels_out, channels_out, 1))


def build(config: ModelConfig, num_classes: int) -> ResNet18:
    """ResNet-18 with Kaiming-normal (fan-out) convolutions; the other layers keep PyTorch's default initialisation."""
    model = ResNet18(config, num_classes)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model


def count_macs(config: ModelConfig, num_classes: int, image_size: int) -> int:
    """Multiply-accumulates of one image's forward pass (convolutions and last layer; 2.222 G at 64 px, 3×3 stem)."""
    width, side = config.width, image_size
    if config.stem == "imagenet":
        side = _halved(side)
        macs = 7 * 7 * 3 * width * side**2
        side = _halved(side)
    else:
        macs = 3 * 3 * 3 * width * side**2
    channels_in = width
    for stage, stride in enumerate(STAGE_STRIDES):
        channels, side = width * 2**stage, side if stride == 1 else _halved(side)
        shortcut = 0 if channels == channels_in and stride == 1 else channels_in * channels
        macs += (9 * channels_in * channels + 3 * 9 * channels**2 + shortcut) * side**2
        channels_in = channels
    return macs + channels_in * num_classes


def _halved(side: int) -> int:
    """Side after a stride-2 layer with "same" padding."""
    return (side + 1) // 2


ARCHITECTURE = Architecture(
    build, "ResNet-18 with a 3×3 stem (SalUn's) or ImageNet's, of any width", "He et al. 2016", shaped=True
)
