"""The interface of a comparison with the authors' code, and the measurement of differences."""

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from benchmarks.agreement.cell import Cell, make_cell
from benchmarks.agreement.official import Official, checked, commit_of, official_code

# Both sides use float64: rounding is far below this limit, and a different step is far above it.
AGREES_BELOW = 1e-9
# Adaptations that several comparisons need.
LOADERS = "loaders that yield our batches of each epoch, images in [0, 1]"
CPU = '`.cuda()`, `.to("cuda")` and `.float()` have no effect'


@dataclass(frozen=True)
class Measured:
    """The largest relative difference of one quantity.

    `departs` is the reason for an intended difference, `at_most` its upper bound; None is no bound.
    """

    quantity: str
    difference: float
    departs: str = ""
    at_most: float | None = None

    @property
    def explained(self) -> bool:
        """Whether the difference is only rounding or is explained by `departs`."""
        limit = AGREES_BELOW if not self.departs else inf if self.at_most is None else self.at_most
        return self.difference < limit  # False for NaN


@dataclass(frozen=True)
class Comparison:
    """`run` measures the differences on a cell. `root` is the import root in the checkout, which must have `files`."""

    repository: str
    files: tuple[str, ...]
    run: Callable[[Official, Cell], list[Measured]]
    adaptations: tuple[str, ...]
    root: str = "."
    departures: tuple[str, ...] = ()
    cell: Callable[[], Cell] = make_cell


def compare(method: str, comparison: Comparison, checkout: Path) -> dict[str, Any]:
    """The record of one comparison, ready for JSON. Raises InputError if the folder is not the checkout."""
    checkout = checked(checkout, comparison.files)
    with double_precision():
        cell = comparison.cell()
        with official_code(checkout / comparison.root) as official:
            measured = comparison.run(official, cell)
    return {
        "method": method,
        "repository": comparison.repository,
        "commit": commit_of(checkout),
        "files": list(comparison.files),
        "measured": [asdict(each) for each in measured],
        "adaptations": [*comparison.adaptations, *dict.fromkeys(official.adaptations)],
        "departures": list(comparison.departures),
        "environment": environment(),
    }


def unexplained(record: Mapping[str, Any]) -> list[str]:
    """The quantities of a record that differ without a documented reason."""
    measured = [Measured(**each) for each in record["measured"]]
    return [one.quantity for one in measured if not one.explained]


def environment() -> dict[str, str]:
    """The processor and versions used for a measurement."""
    return {"processor": processor(), "python": platform.python_version(), "torch": torch.__version__}


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


@contextmanager
def double_precision() -> Iterator[None]:
    """float64 as the default dtype, and one thread, within the context."""
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)


# --- differences --------------------------------------------------------------------------------------------


def farthest(ours: Iterable[Tensor], theirs: Iterable[Tensor]) -> float:
    """The maximum over pairs of tensors of max |ours − theirs| / max |theirs|."""
    return max(apart(mine, wanted) for mine, wanted in zip(ours, theirs, strict=True))


def apart(ours: Tensor, theirs: Tensor) -> float:
    difference, scale = (ours - theirs).abs().max().item(), theirs.abs().max().item()
    return difference / scale if scale > 0 else difference


def moves(before: nn.Module, after: nn.Module, buffers: bool = True) -> list[Tensor]:
    """The change of each weight and, with `buffers`, of each BatchNorm statistic."""
    kept = dict(before.state_dict() if buffers else before.named_parameters())
    now = dict(after.state_dict() if buffers else after.named_parameters())
    return [(now[name] - kept[name]).detach() for name in kept if kept[name].is_floating_point()]


def weights_moved(cell: Cell, ours: nn.Module, theirs: nn.Module, quantity: str = "") -> Measured:
    """The difference of both changes of the original, relative to the change, which is stricter than to the weights."""
    quantity = quantity or "change of the weights and BatchNorm statistics"
    wanted = moves(cell.model, theirs)
    if not any(move.any() for move in wanted):
        raise RuntimeError("the authors' step left the model as it was, so nothing is compared")
    return Measured(quantity, farthest(moves(cell.model, ours), wanted))


# --- the authors' draws -------------------------------------------------------------------------------------


@contextmanager
def drawing(name: str, values: Iterable[Tensor]) -> Iterator[None]:
    """Make `torch.NAME` return the given tensors, one per call, within the context."""
    queue = iter(values)
    with patch.object(torch, name, lambda *_, **__: next(queue)):
        yield
