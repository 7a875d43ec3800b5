"""Optimizers: the paper's SGD, and masks for any optimizer of `torch.optim`."""

import torch
from torch import Tensor, nn

# One bool tensor per parameter, True for the weights that may change.
Mask = list[Tensor]


def sgd(model: nn.Module, learning_rate: float, momentum: float = 0.0, weight_decay: float = 0.0) -> torch.optim.SGD:
    """SGD over every parameter, with weight decay on BatchNorm and biases too, as in SalUn's code."""
    # Not fused: the fused kernel misreads a gradient whose memory layout differs from its weight's (PyTorch 2.15).
    return torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=momentum, weight_decay=weight_decay)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Set the learning rate of every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def apply_mask(optimizer: torch.optim.Optimizer, mask: Mask, mode: str) -> None:
    """Restrict the steps of `optimizer` to the weights that `mask` selects, in the order of its parameters.

    `leaky` zeroes the gradients of the other weights, which weight decay still changes (what the paper ran).
    `hard` restores the other weights after each step, so they never change.
    """
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    kept = [torch.empty_like(w, dtype=torch.bool).copy_(part) for w, part in zip(weights, mask, strict=True)]
    if mode == "hard":
        keep_in_place(optimizer, weights, kept)
    else:
        mask_gradients(optimizer, weights, kept)


def mask_gradients(optimizer: torch.optim.Optimizer, weights: list[Tensor], kept: list[Tensor]) -> None:
    """Multiply the gradients of `weights` by `kept`, a mask or factors of their shapes, before each step."""
    factors = [part.to(weight.dtype) for part, weight in zip(kept, weights, strict=True)]

    def before_step(*_: object) -> None:
        pairs = [(weight.grad, part) for weight, part in zip(weights, factors, strict=True) if weight.grad is not None]
        torch._foreach_mul_([gradient for gradient, _ in pairs], [part for _, part in pairs])

    optimizer.register_step_pre_hook(before_step)


def keep_in_place(optimizer: torch.optim.Optimizer, weights: list[nn.Parameter], kept: Mask) -> None:
    factors = [part.to(weight.dtype) for part, weight in zip(kept, weights, strict=True)]
    # Adding −0 changes no number, whereas adding 0 turns −0 into 0; torch.where takes twice as long.
    starts = [torch.where(part, -0.0, weight.detach()) for part, weight in zip(kept, weights, strict=True)]

    @torch.no_grad()
    def after_step(*_: object) -> None:
        for weight, factor, start in zip(weights, factors, starts, strict=True):
            torch.addcmul(start, weight, factor, out=weight.data)

    optimizer.register_step_post_hook(after_step)
