"""The interface of a probe, which measures a published model; its results go to the table `measures`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from salun_grid.trainables.methods.base import PassCount, Settings, Unlearning


@dataclass(frozen=True)
class Measure:
    """One measured number. `element` is the index of an epoch, class or layer if there are several."""

    metric: str
    value: float
    unit: str
    element: int | None = None


@dataclass(frozen=True)
class Probe:
    """An entry of PROBES. `run` yields measures of its job's model, a private copy that it may change.

    The job is the same object that an unlearning method gets. `passes` maps the settings to a PassCount, where a
    forward-only pass counts as a third. `version` is part of the key: raise it when the code gives a different result.
    Without a version, the key contains a hash of the module's source.
    """

    run: Callable[[Unlearning[Any]], Iterator[Measure]]
    settings: type[Settings]
    passes: Callable[[Any], PassCount]
    idea: str
    paper: str
    version: int | None = None
