"""Optimizers: SGD as the paper has it, and a mask inside any optimizer of `torch.optim`."""

import torch
from torch import Tensor, nn

# One bool tensor for each parameter, True for the weights that may move.
Mask = list[Tensor]


def sgd(model: nn.Module, learning_rate: float, momentum: float = 0.0, weight_decay: float = 0.0) -> torch.optim.SGD:
    """SGD over every parameter: weight decay on BatchNorm and biases too, as SalUn's code does."""
    # Not fused: PyTorch's fused kernel takes a gradient in another memory layout than its weight for permuted (2.15).
    return torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=momentum, weight_decay=weight_decay)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """For every weight, from the next step on."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def apply_mask(optimizer: torch.optim.Optimizer, mask: Mask, mode: str) -> None:
    """Let the steps of `optimizer` move only the weights that `mask` chooses, in the order of its parameters.

    `leaky`: their gradient alone is kept, and weight decay still moves the others (what the paper ran). `hard`: the
    others never move; each step is the optimizer's own, after which they are put back.
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
    # −0, and not 0, changes no number when it is added; torch.where takes twice as long.
    starts = [torch.where(part, -0.0, weight.detach()) for part, weight in zip(kept, weights, strict=True)]

    @torch.no_grad()
    def after_step(*_: object) -> None:
        for weight, factor, start in zip(weights, factors, starts, strict=True):
            torch.addcmul(start, weight, factor, out=weight.data)

    optimizer.register_step_post_hook(after_step)
