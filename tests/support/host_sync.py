"""A watch for operations that make the host wait for the device."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

# Those that on a GPU wait for its answer: a value, or a shape that depends on values.
WAITING = {
    *("aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal", "aten::bincount"),
    *("aten::_unique2", "aten::unique_dim", "aten::unique_consecutive", "aten::repeat_interleave"),
}
INDEXING = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}


def asks(name: str, arguments: tuple[Any, ...]) -> bool:
    """Whether an operation waits: by its name, or because it counts the true values of a mask that it indexes by."""
    if name not in INDEXING:
        return name in WAITING
    if not any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in arguments[1]):
        return False
    # One value for all places of a single mask is filled in without a count.
    return name == "aten::index" or len(arguments[1]) > 1 or arguments[2].numel() > 1


class Watch(TorchDispatchMode):
    """Notes each operation that would wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        if asks(function._schema.name, arguments):
            self.waits.append(function._schema.name)
        return function(*arguments, **(keywords or {}))
