"""The last layer of a classifier of any architecture."""

from torch import nn

from salun_grid.records.errors import InputError


def last_layer(model: nn.Module, num_classes: int) -> nn.Linear:
    """The last linear layer of `model` with `num_classes` outputs. Raises InputError if there is none."""
    layers = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == num_classes]
    if not layers:
        raise InputError(f"the model has no linear layer with {num_classes} outputs, which this method needs.")
    return layers[-1]
