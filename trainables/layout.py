"""The memory layout of a model's weights and activations: channels_last unless a layer makes it unsafe."""

from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

Model = TypeVar("Model", bound=nn.Module)

# In channels_last, oneDNN's backward pass of a strided 1×1 convolution writes out of bounds if the input has fewer
# channels than a vector register has lanes: 8 with AVX2, 16 with AVX-512 (oneDNN issue 6035; torch 2.15).
SAFE_CHANNELS = 16


@dataclass(frozen=True)
class Layout:
    """A memory format for `Tensor.to(memory_format=…)`, with a short `reason`."""

    format: torch.memory_format
    reason: str

    @property
    def name(self) -> str:
        return "channels_last" if self.format == torch.channels_last else "contiguous"


def memory_layout(model: nn.Module) -> Layout:
    """The layout of `model`, from the channel counts of its layers.

    It is the same on every device and processor, since rounding depends on the layout.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d) and is_unsafe(module):
            return Layout(
                torch.contiguous_format,
                f"{name} is a strided 1×1 convolution of {module.in_channels} channels, fewer than {SAFE_CHANNELS}",
            )
    return Layout(torch.channels_last, f"no strided 1×1 convolution has fewer than {SAFE_CHANNELS} channels")


def is_unsafe(convolution: nn.Conv2d) -> bool:
    """Whether oneDNN corrupts memory in the backward pass of `convolution` in channels_last."""
    return convolution.kernel_size == (1, 1) and max(convolution.stride) > 1 and convolution.in_channels < SAFE_CHANNELS


def laid_out(model: Model) -> Model:
    """`model` with its weights in its layout, in place."""
    return model.to(memory_format=memory_layout(model).format)
