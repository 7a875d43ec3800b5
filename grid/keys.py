"""Keys: hashes of exactly what determines a result.

Fields that equal their default are omitted, so a new field with a default changes no key. Defaults are therefore
frozen: changing one changes the meaning of the keys that omit it, and needs another FORMAT_VERSION.
"""

import hashlib
import json
from dataclasses import MISSING, fields, is_dataclass
from functools import cache, lru_cache
from typing import Any

# Raise it when the same description gives a different result: every key changes, so no old result is reused.
FORMAT_VERSION = 3

# json.dumps would build an encoder for each key.
canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def key_of(description: Any) -> str:
    """The key of a frozen dataclass: 20 hex digits (80 bits) of SHA-256 over its type and non-default fields."""
    return hash_of({"format": FORMAT_VERSION, "kind": type(description).__name__, **without_defaults(description)})


def hash_of(parts: dict[str, Any]) -> str:
    """20 hex digits of SHA-256 over the canonical JSON of `parts`: sorted keys, no spaces."""
    return hashlib.sha256(canonical(parts).encode()).hexdigest()[:20]


def without_defaults(description: Any) -> dict[str, Any]:
    """The fields of a dataclass that differ from their default, as JSON values."""
    found = {}
    kind: Any = type(description)
    for name, default in defaults_of(kind):
        value = getattr(description, name)
        if value != default:
            found[name] = as_json(value)
    return found


@cache
def defaults_of(kind: Any) -> tuple[tuple[str, Any], ...]:
    """Name and default of each compared field of a dataclass; MISSING if it has none."""
    return tuple(
        (field.name, field.default if field.default_factory is MISSING else field.default_factory())
        for field in fields(kind)
        if field.compare
    )


def as_json(value: Any) -> Any:
    """Canonical JSON value: the key of a spec, the `identity` of a value that has one, else non-default fields."""
    if isinstance(value, str | int | float | None):
        return value
    if isinstance(value, tuple | list):
        return [as_json(item) for item in value]
    for name in ("key", "identity"):
        if hasattr(value, name):
            return getattr(value, name)
    if is_dataclass(value):
        section: Any = value
        return _section(section)
    raise TypeError(f"{value!r} has no canonical form")


@lru_cache(maxsize=1024)
def _section(config: Any) -> dict[str, Any]:
    """Cached, since the same few sections of a protocol enter each of its keys."""
    return without_defaults(config)
