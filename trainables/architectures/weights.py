"""External weights: a model of the grid from a state dict with torchvision's names."""

from collections.abc import Mapping

import torch
from torch import Tensor

from salun_grid.records.errors import InputError
from salun_grid.trainables.architectures import build_model
from salun_grid.trainables.architectures.base import Classifier
from salun_grid.trainables.protocol import ModelConfig

MAX_NAMED = 3


def model_of_weights(config: ModelConfig, num_classes: int, weights: Mapping[str, Tensor]) -> Classifier:
    """The architecture of `config` with `weights`, a state dict with this model's or torchvision's names, as float32.

    The prefix `module.` that DataParallel writes is dropped. Raises InputError if names or shapes do not match.
    """
    model = build_model(config, num_classes, seed=0)
    own = model.state_dict()
    given = {name.removeprefix("module."): tensor for name, tensor in weights.items()}
    named = {name if name in own else model.own_name(name): tensor for name, tensor in given.items()}
    check(own, named, config.architecture)
    with torch.no_grad():
        for name, tensor in named.items():
            own[name].copy_(tensor)
    return model


def check(own: Mapping[str, Tensor], given: Mapping[str, Tensor], architecture: str) -> None:
    """Raise InputError unless `given` has exactly the weights of `own`, with the same shapes."""
    counters = {name for name in own if name.endswith("num_batches_tracked")}  # absent from older files
    problems = {
        "lack": sorted(own.keys() - given.keys() - counters),
        "also have": sorted(given.keys() - own.keys()),
    }
    for what, names in problems.items():
        if names:
            more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
            raise InputError(
                f"these weights do not fit {architecture}: they {what} {', '.join(names[:MAX_NAMED])}{more}. "
                "Name the architecture they belong to."
            )
    for name, tensor in given.items():
        if tensor.shape != own[name].shape:
            raise InputError(
                f"{name} has shape {tuple(tensor.shape)} in the weights and {tuple(own[name].shape)} in "
                f"{architecture}; check the number of classes, model.stem and model.width."
            )
