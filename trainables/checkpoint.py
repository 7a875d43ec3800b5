"""Training checkpoints as bytes: safetensors with the finished epochs in the metadata."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn


@dataclass(frozen=True)
class Checkpoints:
    """Storage of a training's state: `load` returns the last saved bytes or None, `save` replaces them.

    A state is saved after an epoch unless the last one is younger than `min_seconds`. `refuse` is called with the
    reason if a saved state cannot be used.
    """

    load: Callable[[], bytes | None] = lambda: None
    save: Callable[[bytes], None] = lambda state: None
    min_seconds: float = float("inf")
    refuse: Callable[[str], None] = lambda reason: None


NO_CHECKPOINTS = Checkpoints()


def pack(model: nn.Module, optimizer: torch.optim.Optimizer, epochs: list[dict[str, Any]]) -> bytes:
    """Serialise weights, buffers, optimizer state and finished epochs.

    Random streams need no state, since each epoch has its own. Optimizer options come from the settings.
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"optimizer.{name}": value for name, value in optimizer_tensors(optimizer).items()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return save(tensors, {"epochs": json.dumps(epochs)})


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state per parameter, as `place.name`; numbers become tensors."""
    kept = optimizer.state_dict()["state"]
    return {
        f"{place}.{name}": value if isinstance(value, Tensor) else torch.tensor(value)
        for place, state in kept.items()
        for name, value in state.items()
        if value is not None
    }


class BadState(ValueError):
    """A checkpoint that cannot be used; the message gives the reason."""


@dataclass(frozen=True)
class State:
    """An unpacked checkpoint: `weights` by name, `kept` (optimizer state) by parameter index, finished epochs."""

    weights: dict[str, Tensor]
    kept: dict[int, dict[str, Tensor]]
    epochs: list[dict[str, Any]]


def unpack(content: bytes) -> State:
    """The state that `pack` wrote. Raises BadState if the bytes are damaged."""
    state = State({}, {}, [])
    try:
        for name, tensor in load(content).items():
            owner, _, rest = name.partition(".")
            if owner == "model":
                state.weights[rest] = tensor
            else:
                place, _, what = rest.partition(".")
                state.kept.setdefault(int(place), {})[what] = tensor
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        state.epochs.extend(map(dict, json.loads(header["__metadata__"]["epochs"])))
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise BadState(" ".join(str(error).split()) or type(error).__name__) from None
    return state


def restore(state: State, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Load a state into `model` and `optimizer`. Raises BadState, changing nothing, if it is of another model."""
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    if {name: tensor.shape for name, tensor in state.weights.items()} != shapes:
        raise BadState("its weights belong to another model")
    sizes = [weight.shape for group in optimizer.param_groups for weight in group["params"]]
    for place, kept in state.kept.items():
        if place >= len(sizes) or any(tensor.dim() and tensor.shape != sizes[place] for tensor in kept.values()):
            raise BadState("its optimizer state belongs to another model")
    model.load_state_dict(state.weights)
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state.kept})
