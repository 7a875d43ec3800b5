"""Variants: one method with several sets of hyper-parameters, named by the settings in which they differ."""

import json
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence

from salun_grid.records.text import printable

# For each method with variants, the settings that distinguish them, sorted.
Differing = Mapping[str, Sequence[str]]


def settings_of(method_params: str) -> dict[str, str]:
    """Each setting of a row's `method_params` with its value as text; what is no JSON object is one setting."""
    try:
        params = json.loads(method_params)
    except ValueError:
        params = None
    if not isinstance(params, dict):
        return {"params": printable(method_params)}
    return {printable(name): _value(value) for name, value in params.items()}


def _value(value: object) -> str:
    return printable(value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False))


def differing(rows: Iterable[tuple[Hashable, str, str]]) -> dict[str, list[str]]:
    """The settings that differ between the variants of each method, from (group, method, method_params) triples.

    Variants are compared within a group; methods with one variant in every group are left out.
    """
    variants: dict[tuple[Hashable, str], set[str]] = defaultdict(set)
    for group, method, params in rows:
        variants[group, method].add(params)
    found: dict[str, set[str]] = defaultdict(set)
    for (_, method), texts in variants.items():
        if len(texts) > 1:
            found[method] |= _differences([settings_of(text) for text in texts])
    return {method: sorted(names) for method, names in found.items() if names}


def _differences(settings: Collection[Mapping[str, str]]) -> set[str]:
    """The names whose value, or presence, is not the same in all of `settings`."""
    names = {name for own in settings for name in own}
    return {name for name in names if len({own.get(name) for own in settings}) > 1}


def variant_name(method: str, method_params: str, by: Differing) -> str:
    """The method, followed by the values of the settings that distinguish its variants: `salun learning_rate=0.01`."""
    if method not in by:
        return method
    settings = settings_of(method_params)
    return " ".join([method, *(f"{name}={settings[name]}" for name in by[method] if name in settings)])
