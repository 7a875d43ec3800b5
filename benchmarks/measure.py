"""Measuring ways of doing the same work side by side."""

import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version

import torch

from salun_grid.grid.provenance import device_name
from salun_grid.grid.release import code_version

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True)
class Result:
    """One case: `seconds[way]` of each repetition, the reference first; a repetition does `work` of `unit`."""

    case: str
    unit: str
    work: float
    seconds: dict[str, list[float]]

    @property
    def reference(self) -> str:
        return next(iter(self.seconds))

    def rates(self, way: str) -> tuple[float, float, float]:
        """Units a second of the median repetition, of the slowest and of the quickest."""
        return tuple(self.work / end(self.seconds[way]) for end in (statistics.median, max, min))  # type: ignore[return-value]

    def ratio(self, way: str) -> float:
        """How many times as fast as the reference, by the medians."""
        return statistics.median(self.seconds[self.reference]) / statistics.median(self.seconds[way])


Ways = Mapping[str, Callable[[], object]]


def interleaved(
    ways: Ways, repetitions: int, warm: bool = True, before: Callable[[], object] = lambda: None
) -> dict[str, list[float]]:
    """Seconds of each way, all of them in turn, so that what else the machine does falls on each alike.

    `before` each comes something that is not counted.
    """
    for act in ways.values() if warm else ():
        act()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repetitions):
        for name, act in ways.items():
            before()
            settle()
            started = time.perf_counter()
            act()
            settle()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def settle() -> None:
    """Wait for what the GPU still has to do."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def hardware() -> str:
    """The machine and the versions, for under a table."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("ray", "torch", "matplotlib"))
    python = sys.version.partition(" ")[0]
    machine = f"{os.cpu_count()} cores of {device_name('cpu').partition(' (')[0]}"
    if DEVICE.type == "cuda":
        machine = f"{device_name('cuda')} with {machine}"
    return f"Measured on {machine}, Python {python}, {versions}, salun-grid {code_version()}."


def table(header: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float) -> str:
    """Three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
