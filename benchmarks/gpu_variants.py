"""Sizes of the GPU benchmarks, and measurement of variants that may fail or run out of time."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.measure import DEVICE, interleaved, settle

TimeLeft = Callable[[], float]  # seconds until the part must end
NO_TIME = "no time left"
NEEDS_CUDA = "needs CUDA"


@dataclass(frozen=True)
class Size:
    """The problem size of a benchmark; `width` is that of ResNet-18's first stage (64 in the standard network)."""

    image_size: int
    batch_size: int
    width: int
    num_train: int
    num_test: int

    @property
    def num_forgotten(self) -> int:
        """A tenth of the train images."""
        return self.num_train // 10


# Train images are a multiple of the batch size: a CUDA graph is captured for one shape.
FULL = Size(image_size=64, batch_size=256, width=64, num_train=12_800, num_test=3_400)
TINY = Size(image_size=8, batch_size=32, width=4, num_train=64, num_test=32)


class Unavailable(RuntimeError):
    """A variant cannot run on this machine; the message names what it needs."""


def require_cuda() -> None:
    if DEVICE.type != "cuda":
        raise Unavailable(NEEDS_CUDA)


@dataclass(frozen=True)
class Case:
    """One piece of work in several variants, the reference first.

    `seconds[variant]` lists the repetitions; `first[variant]` is the duration of setup and first run, including
    compilation and capture; `failed[variant]` is the reason for missing seconds.
    """

    name: str
    unit: str
    work: float
    reference: str
    seconds: dict[str, list[float]] = field(default_factory=dict)
    first: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def variants(self) -> list[str]:
        """All variants, the reference first and failed ones last."""
        return sorted([*self.seconds, *self.failed], key=lambda name: (name in self.failed, name != self.reference))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


# Sets up a variant and returns the work to be timed.
MakeVariant = Callable[[], Callable[[], object]]


def measured(
    name: str, unit: str, work: float, variants: Mapping[str, MakeVariant], repetitions: int, time_left: TimeLeft
) -> Case:
    """Set up and run each variant once, then time them in turn, `repetitions` times or until time runs out.

    A variant that raises is recorded with the reason, and the others are still measured.
    """
    case = Case(name, unit, work, next(iter(variants)))
    ready: dict[str, Callable[[], object]] = {}
    for variant, make in variants.items():
        if time_left() <= 0:
            case.failed[variant] = NO_TIME
            continue
        started = time.perf_counter()
        try:
            act = make()
            act()
            settle()
        except Exception as error:  # torch.compile and CUDA raise almost anything
            case.failed[variant] = reason(error)
            continue
        case.first[variant], ready[variant] = time.perf_counter() - started, act
    for _ in range(repetitions):
        if time_left() <= 0:
            break
        for variant, seconds in interleaved(ready, 1, warm=False).items():
            case.seconds.setdefault(variant, []).extend(seconds)
    case.failed.update({variant: NO_TIME for variant in ready if variant not in case.seconds})
    return case


def reason(error: Exception) -> str:
    """An exception as one line of at most 200 characters."""
    if isinstance(error, Unavailable):
        return str(error)
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:200]


def complete(case: Case) -> bool:
    """Whether no variant ran out of time."""
    return NO_TIME not in case.failed.values()
