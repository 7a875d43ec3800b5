"""What a comparison of one method with its authors' code is, and how far two results are from each other."""

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

# Both sides compute in float64; rounding stays far below this, and a step that is another step far above.
AGREES_BELOW = 1e-9


@dataclass(frozen=True)
class Measured:
    """The largest relative difference of one quantity.

    `departs` is the reason of a difference that is on purpose, `at_most` how large it may be; None is any.
    """

    quantity: str
    difference: float
    departs: str = ""
    at_most: float | None = None

    @property
    def explained(self) -> bool:
        """Whether there is no difference but rounding, or one that `departs` explains."""
        limit = AGREES_BELOW if not self.departs else inf if self.at_most is None else self.at_most
        return self.difference < limit  # False for what is no number


@dataclass(frozen=True)
class Comparison:
    """`run` takes both steps on a cell and measures. The code lies in `root` of the checkout; it must have `files`."""

    repository: str
    files: tuple[str, ...]
    run: Callable[[Official, Cell], list[Measured]]
    adaptations: tuple[str, ...]
    root: str = "."
    departures: tuple[str, ...] = ()
    cell: Callable[[], Cell] = make_cell


def compare(method: str, comparison: Comparison, checkout: Path) -> dict[str, Any]:
    """The record of one comparison, ready for JSON. Raises InputError for a folder that is not the checkout."""
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
    """The quantities of a record that differ, for no reason that it gives."""
    measured = [Measured(**each) for each in record["measured"]]
    return [one.quantity for one in measured if not one.explained]


def environment() -> dict[str, str]:
    """What a number was measured with."""
    return {"processor": processor(), "python": platform.python_version(), "torch": torch.__version__}


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


@contextmanager
def double_precision() -> Iterator[None]:
    """float64 by default and one thread, for a block."""
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
    """The largest |ours − theirs| of a tensor over its largest |theirs|, over pairs of tensors."""
    return max(apart(mine, wanted) for mine, wanted in zip(ours, theirs, strict=True))


def apart(ours: Tensor, theirs: Tensor) -> float:
    difference, scale = (ours - theirs).abs().max().item(), theirs.abs().max().item()
    return difference / scale if scale > 0 else difference


def moves(before: nn.Module, after: nn.Module, buffers: bool = True) -> list[Tensor]:
    """How far each weight, and each statistic of BatchNorm, is from where it was."""
    kept = dict(before.state_dict() if buffers else before.named_parameters())
    now = dict(after.state_dict() if buffers else after.named_parameters())
    return [(now[name] - kept[name]).detach() for name in kept if kept[name].is_floating_point()]


def weights_moved(cell: Cell, ours: nn.Module, theirs: nn.Module, quantity: str = "") -> Measured:
    """How far the two changes of the original are from each other, relative to the change: stricter than weights."""
    quantity = quantity or "change of the weights and BatchNorm statistics"
    wanted = moves(cell.model, theirs)
    if not any(move.any() for move in wanted):
        raise RuntimeError("the authors' step left the model as it was, so nothing is compared")
    return Measured(quantity, farthest(moves(cell.model, ours), wanted))


# --- the authors' draws -------------------------------------------------------------------------------------


@contextmanager
def drawing(name: str, values: Iterable[Tensor]) -> Iterator[None]:
    """Let `torch.NAME` return the given tensors, one a call, for a block."""
    queue = iter(values)
    with patch.object(torch, name, lambda *_, **__: next(queue)):
        yield
