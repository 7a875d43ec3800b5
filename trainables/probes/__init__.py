"""Probes: measurements that need the model, not only its predictions.

A probe is a module of this package with a function, its settings and a `Probe`, and an entry in PROBES.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from salun_grid.records.errors import InputError, unknown_choice
from salun_grid.trainables.methods.base import Settings
from salun_grid.trainables.methods.variants import split_changes
from salun_grid.trainables.probes import relearn
from salun_grid.trainables.probes.base import Measure, Probe
from salun_grid.trainables.settings import changed, validated

__all__ = ["PROBES", "ChosenProbe", "Measure", "Probe"]

PROBES: dict[str, Probe] = {
    "relearn": relearn.PROBE,
}


@dataclass(frozen=True)
class ChosenProbe:
    """A probe with some settings changed, such as `relearn:epochs=3`."""

    name: str
    changes: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "ChosenProbe":
        """Parse `NAME:field=value,…`. Raises InputError for an unknown probe or setting, or a bad value."""
        name, changes = split_changes(text, "a probe with settings looks like relearn:epochs=3")
        return cls.of(name, changes)

    @classmethod
    def of(cls, name: str, changes: Mapping[str, str]) -> "ChosenProbe":
        if name not in PROBES:
            raise unknown_choice("probe", name, list(PROBES))
        chosen = cls(name, tuple(sorted(changes.items())))
        chosen.settings()
        return chosen

    def settings(self) -> Settings:
        try:
            settings = PROBES[self.name].settings()
            for name, value in self.changes:
                settings = changed(settings, name, value)
            return validated(settings)
        except InputError as error:
            raise InputError(f"probe {self.name}: {error}") from None

    def __str__(self) -> str:
        changes = ",".join(f"{name}={value}" for name, value in self.changes)
        return f"{self.name}:{changes}" if changes else self.name
