"""Interleaved timing of variants of the same work."""

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
    """The timings of one case: `seconds[variant]` per repetition, the reference first; each does `work` units."""

    case: str
    unit: str
    work: float
    seconds: dict[str, list[float]]

    @property
    def reference(self) -> str:
        return next(iter(self.seconds))

    def rates(self, variant: str) -> tuple[float, float, float]:
        """Throughput per second of the median, slowest and fastest repetition."""
        return tuple(self.work / end(self.seconds[variant]) for end in (statistics.median, max, min))  # type: ignore[return-value]

    def ratio(self, variant: str) -> float:
        """Speed-up over the reference, by medians."""
        return statistics.median(self.seconds[self.reference]) / statistics.median(self.seconds[variant])


Variants = Mapping[str, Callable[[], object]]


def interleaved(
    variants: Variants, repetitions: int, warm: bool = True, before: Callable[[], object] = lambda: None
) -> dict[str, list[float]]:
    """Seconds of each variant, timed in turn so that other load on the machine affects all of them equally.

    `before` runs before each timing and is not timed.
    """
    for act in variants.values() if warm else ():
        act()
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(repetitions):
        for name, act in variants.items():
            before()
            settle()
            started = time.perf_counter()
            act()
            settle()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def settle() -> None:
    """Wait for pending GPU work."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def hardware() -> str:
    """The machine and the versions, as a note for a table."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("ray", "torch", "matplotlib"))
    python = sys.version.partition(" ")[0]
    machine = f"{os.cpu_count()} cores of {device_name('cpu').partition(' (')[0]}"
    if DEVICE.type == "cuda":
        machine = f"{device_name('cuda')} with {machine}"
    return f"Measured on {machine}, Python {python}, {versions}, salun-grid {code_version()}."


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float) -> str:
    """A number with three significant digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
