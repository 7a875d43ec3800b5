"""Variants: methods with some settings changed, such as `salun:learning_rate=0.01,mask.fraction=0.3`."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from salun_grid.records.errors import InputError, shown, unknown_choice
from salun_grid.trainables.methods import METHODS, Method, Settings
from salun_grid.trainables.protocol import Protocol, SaliencyConfig
from salun_grid.trainables.settings import changed, validated

MASK = "mask."


@dataclass(frozen=True)
class Variant:
    """A method with `changes`, (field, text) pairs sorted by field; mask fields are written `mask.fraction`."""

    method: str
    changes: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str, also: tuple[str, ...] = ()) -> "Variant":
        """The variant written as `text`; `also` are further names that an error message suggests.

        Raises InputError for an unknown method or setting, or a bad value.
        """
        example = "a method with settings looks like salun:learning_rate=0.01,mask.fraction=0.3"
        method, changes = split_changes(text, example)
        return cls.of(method, changes, also)

    @classmethod
    def from_table(cls, table: Mapping[str, Any], also: tuple[str, ...] = ()) -> "Variant":
        """The variant of a study file's `{ name = "salun", learning_rate = 0.01, mask = { fraction = 0.3 } }`."""
        if not isinstance(table.get("name"), str):
            raise InputError(f"a method in a study file is a name or a table with a name, not {dict(table)!r}.")
        changes: dict[str, str] = {}
        for name, value in table.items():
            nested = value.items() if isinstance(value, dict) else ()
            changes |= {f"{name}.{inner}": text_of(each) for inner, each in nested}
            if name != "name" and not isinstance(value, dict):
                changes[name] = text_of(value)
        return cls.of(table["name"], changes, also)

    @classmethod
    def of(cls, method: str, changes: Mapping[str, str], also: tuple[str, ...] = ()) -> "Variant":
        if method not in METHODS:
            raise unknown_choice("method", method, [*also, *METHODS])
        variant = cls(method, tuple(sorted(changes.items())))
        variant.resolved(Protocol())
        return variant

    def __str__(self) -> str:
        changes = ",".join(f"{name}={value}" for name, value in self.changes)
        return f"{self.method}:{changes}" if changes else self.method

    def resolved(self, protocol: Protocol) -> tuple[Settings, SaliencyConfig | None]:
        """The method's settings and its mask under `protocol`, whose `unlearning` changes each method's defaults."""
        try:
            return self._resolved(protocol)
        except InputError as error:
            raise InputError(f"method {self.method}: {error}") from None

    def _resolved(self, protocol: Protocol) -> tuple[Settings, SaliencyConfig | None]:
        method = METHODS[self.method]
        settings, mask = with_overrides(method, protocol), protocol.saliency if method.masked else None
        for name, value in self.changes:
            if name.startswith(MASK):
                if not method.takes_mask:
                    raise InputError(
                        f"it takes no mask, since it changes weights outside optimizer steps; remove {name}."
                    )
                mask = changed(mask or protocol.saliency, name.removeprefix(MASK), value)
            else:
                settings = changed(settings, name, value)
        return validated(settings), mask and validated(mask)


def split_changes(text: str, example: str) -> tuple[str, dict[str, str]]:
    """Split `NAME:field=value,…` into the name and the changes. Raises InputError, which quotes `example`."""
    method, _, rest = text.partition(":")
    changes = {}
    for part in filter(None, rest.split(",")):
        name, equals, value = part.partition("=")
        if not equals:
            raise InputError(f"{example}, not {shown(text)}.")
        changes[name.strip()] = value.strip()
    return method.strip(), changes


def text_of(value: Any) -> str:
    """A TOML value as written on the command line."""
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def with_overrides(method: Method, protocol: Protocol) -> Settings:
    """The method's defaults with the overrides in the protocol's `unlearning`."""
    settings = method.settings()
    names = {field.name for field in fields(settings)}
    given = {field.name: getattr(protocol.unlearning, field.name) for field in fields(protocol.unlearning)}
    return replace(settings, **{name: value for name, value in given.items() if name in names and value is not None})
