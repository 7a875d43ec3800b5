"""SGD on the weights in the order of their memory, plain or under a mask.

PyTorch's fused CPU kernel copies each gradient that is channels_last before it reads it, which is half of its time; as
rows of their memory, weights and gradients are contiguous. The numbers are the same, bit for bit.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from trainables.protocol import TrainingConfig, UnlearningConfig

# One bool tensor for each parameter, True for the weights that may move.
Mask = list[Tensor]


class RowSGD(torch.optim.SGD):
    """PyTorch's fused SGD over `parameters`; its own parameters are `rows`, one-dimensional views of theirs."""

    def __init__(self, parameters: Iterable[nn.Parameter], **settings: Any) -> None:
        self.weights = list(parameters)
        self.rows = [in_memory_order(weight.detach(), weight) for weight in self.weights]
        super().__init__(self.rows, fused=True, **settings)

    def zero_grad(self, set_to_none: bool = True) -> None:
        for weight in self.weights:
            weight.grad = None

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step from the gradients of the weights."""
        for row, gradient in zip(self.rows, self.gradients(), strict=True):
            row.grad = gradient
        super().step()

    def gradients(self) -> list[Tensor]:
        """The gradient of each row."""
        return [in_memory_order(weight.grad, weight) for weight in self.weights]  # type: ignore[arg-type]


class MaskedSGD(RowSGD):
    """SGD on the weights that a mask chooses. `leaky`: the gradient is masked, and weight decay still moves the others.

    `hard`: the others never move. The step is SGD's own on all weights, after which one kernel puts the masked ones
    back, over one buffer of all; each weight ends bit for bit where masking its gradient as well would leave it, since
    no weight's step reads another's.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], mask: Mask, mode: str, **settings: Any) -> None:
        weights = list(parameters)
        self.hard, self.buffer = mode == "hard", share_a_buffer(weights)
        super().__init__(weights, **settings)
        # 1 for a chosen weight and 0 for another, in the weights' type and order.
        self.kept = [in_memory_order(part, weight) for part, weight in zip(mask, weights, strict=True)]
        self.kept_row = torch.cat(self.kept)
        # −0, and not 0, is what changes no number when it is added.
        self.start = torch.where(self.kept_row.bool(), -0.0, self.buffer)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step from the gradients of the weights."""
        super().step()
        if self.hard:
            torch.addcmul(self.start, self.buffer, self.kept_row, out=self.buffer)

    def gradients(self) -> list[Tensor]:
        gradients = super().gradients()
        if not self.hard:
            torch._foreach_mul_(gradients, self.kept)
        return gradients


def sgd(model: nn.Module, config: TrainingConfig | UnlearningConfig) -> RowSGD:
    """SGD over every parameter: weight decay on BatchNorm and biases too, as SalUn's code does."""
    return RowSGD(model.parameters(), **settings_of(config))


def settings_of(config: TrainingConfig | UnlearningConfig) -> dict[str, Any]:
    """What SGD is told, by PyTorch's names."""
    return {"lr": config.learning_rate, "momentum": config.momentum, "weight_decay": config.weight_decay}


def in_memory_order(tensor: Tensor, weight: Tensor) -> Tensor:
    """`tensor`, of the shape of the dense `weight`, as one row in the order and type of its memory.

    It is copied only where its own order or type is another.
    """
    if tensor.stride() != weight.stride() or tensor.dtype != weight.dtype:
        tensor = torch.empty_like(weight).copy_(tensor)
    return tensor.as_strided((tensor.numel(),), (1,), tensor.storage_offset())


def share_a_buffer(weights: list[nn.Parameter]) -> Tensor:
    """Move all weights into one buffer, 1-D, each in the order that its memory has; returns the buffer."""
    buffer = torch.cat([in_memory_order(weight.detach(), weight) for weight in weights])
    start = 0
    for weight in weights:
        weight.data = buffer.as_strided(weight.shape, weight.stride(), start)
        start += weight.numel()
    return buffer
