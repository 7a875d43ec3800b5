"""The state of an unfinished training as bytes: safetensors, with the epochs done so far in their metadata."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from safetensors.torch import load, save
from torch import nn

from trainables.sgd import RowSGD, in_memory_order


@dataclass(frozen=True)
class Checkpoints:
    """Where a training keeps its state. `load` gives the last saved bytes or None, `save` puts others in their place.

    A state is saved after an epoch, unless the last one is younger than `min_seconds`.
    """

    load: Callable[[], bytes | None] = lambda: None
    save: Callable[[bytes], None] = lambda state: None
    min_seconds: float = float("inf")


NO_CHECKPOINTS = Checkpoints()


def pack(model: nn.Module, optimizer: RowSGD, epochs: list[dict[str, Any]]) -> bytes:
    """Weights, buffers, momenta and the epochs done. Random streams need no state: each epoch names its own."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for i, (row, weight) in enumerate(zip(optimizer.rows, optimizer.weights, strict=True)):
        momentum = optimizer.state[row].get("momentum_buffer")
        tensors |= {} if momentum is None else {f"momentum.{i}": momentum.as_strided(weight.shape, weight.stride())}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return save(tensors, {"epochs": json.dumps(epochs)})


def unpack(state: bytes, model: nn.Module, optimizer: RowSGD) -> list[dict[str, Any]]:
    """Put a packed state into `model` and `optimizer`; returns the epochs done."""
    tensors = load(state)
    model.load_state_dict(
        {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name.startswith("model.")}
    )
    for i, (row, weight) in enumerate(zip(optimizer.rows, optimizer.weights, strict=True)):
        if f"momentum.{i}" in tensors:
            optimizer.state[row]["momentum_buffer"] = in_memory_order(tensors[f"momentum.{i}"].to(row.device), weight)
    header = json.loads(state[8 : 8 + int.from_bytes(state[:8], "little")])
    return json.loads(header["__metadata__"]["epochs"])
