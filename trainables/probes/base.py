"""What a probe is: it works with a published model and writes what it finds into the table `measures`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from salun_grid.trainables.methods.base import PassCount, Settings, Unlearning


@dataclass(frozen=True)
class Measure:
    """One number that a probe found. `element` numbers an epoch, a class or a layer where there are several."""

    metric: str
    value: float
    unit: str
    element: int | None = None


@dataclass(frozen=True)
class Probe:
    """`run` yields measures of the model of its job, which it may change: nobody else has it.

    The job is what an unlearning method gets too, with the same engine. `passes` counts what the probe passes over, a
    pass forward alone as a third. `version` is part of the key: raise it when the code gives another result; without
    one, the key has a hash of the module's source.
    """

    run: Callable[[Unlearning[Any]], Iterator[Measure]]
    settings: type[Settings]
    passes: Callable[[Any], PassCount]
    idea: str
    paper: str
    version: int | None = None
