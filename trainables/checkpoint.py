"""The state of an unfinished training as bytes: safetensors, with the epochs done so far in their metadata."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn


@dataclass(frozen=True)
class Checkpoints:
    """Where a training keeps its state. `load` gives the last saved bytes or None, `save` puts others in their place.

    A state is saved after an epoch, unless the last one is younger than `min_seconds`.
    """

    load: Callable[[], bytes | None] = lambda: None
    save: Callable[[bytes], None] = lambda state: None
    min_seconds: float = float("inf")


NO_CHECKPOINTS = Checkpoints()


def pack(model: nn.Module, optimizer: torch.optim.Optimizer, epochs: list[dict[str, Any]]) -> bytes:
    """Weights, buffers, the optimizer's state and the epochs done.

    Random streams need no state: each epoch names its own. The optimizer's options are the training's to set.
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"optimizer.{name}": value for name, value in optimizer_tensors(optimizer).items()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return save(tensors, {"epochs": json.dumps(epochs)})


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What the optimizer keeps for each parameter, by `place.name`; `torch.optim` keeps tensors and numbers."""
    kept = optimizer.state_dict()["state"]
    return {
        f"{place}.{name}": value if isinstance(value, Tensor) else torch.tensor(value)
        for place, state in kept.items()
        for name, value in state.items()
        if value is not None
    }


def unpack(state: bytes, model: nn.Module, optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """Put a packed state into `model` and `optimizer`; returns the epochs done."""
    tensors = load(state)
    model.load_state_dict(
        {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name.startswith("model.")}
    )
    kept: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        owner, _, rest = name.partition(".")
        if owner == "optimizer":
            place, _, what = rest.partition(".")
            kept.setdefault(int(place), {})[what] = tensor
    optimizer.load_state_dict(optimizer.state_dict() | {"state": kept})
    header = json.loads(state[8 : 8 + int.from_bytes(state[:8], "little")])
    return json.loads(header["__metadata__"]["epochs"])
