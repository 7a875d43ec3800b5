"""Studies: a named set of cells with one protocol, built in, read from a file, or changed on the command line."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from grid.specs import CONTROLS
from trainables.augmentation import AUGMENTATIONS
from trainables.errors import InputError, unknown_choice
from trainables.forget import check_forget_rate
from trainables.methods.variants import Variant
from trainables.protocol import PROTOCOLS, Protocol
from trainables.settings import changed, validated

PAPER_DATASETS = ("pathmnist", "organamnist", "bloodmnist")


@dataclass(frozen=True)
class Study:
    """Every combination of the five axes is a cell.

    `words` name the study and its protocol on a command line, `axis_words` the axes that were given there.
    """

    name: str
    datasets: tuple[str, ...]
    forget_rates: tuple[float, ...]
    augmentations: tuple[str, ...]
    seeds: tuple[int, ...]
    methods: tuple[str, ...]
    protocol: Protocol
    words: tuple[str, ...]
    axis_words: tuple[str, ...] = ()


AXES = ("datasets", "forget_rates", "augmentations", "seeds", "methods")


def _built_in(name: str, protocol: str, **axes: Any) -> Study:
    return Study(
        name=name,
        datasets=axes.get("datasets", PAPER_DATASETS),
        forget_rates=(0.1, 0.5),
        augmentations=axes.get("augmentations", ("none", "default", "default+ra")),
        seeds=axes.get("seeds", (0,)),
        methods=axes.get("methods", (*CONTROLS, "salun")),
        protocol=PROTOCOLS[protocol],
        words=(name,),
    )


STUDIES: dict[str, Study] = {
    "demo": _built_in(
        "demo",
        "demo",
        datasets=("digits",),
        augmentations=("none", "default"),
        seeds=(0, 1),
        methods=(*CONTROLS, "salun:learning_rate=0.0065"),
    ),
    "paper": _built_in("paper", "paper"),
    "strict": _built_in("strict", "strict", seeds=(0, 1, 2)),
}


def find_study(name: str) -> Study:
    """A built-in study by name, or the study in a .toml file by path. Raises InputError for anything else."""
    if name in STUDIES:
        return STUDIES[name]
    if name.endswith(".toml"):
        return read_study(Path(name))
    raise unknown_choice("study", name, [*STUDIES, "a path to a .toml file"])


def read_study(path: Path) -> Study:
    """A study from TOML: `name`, the five axes as lists, and `[protocol]` with `base` and changed fields."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the study {path}: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the study {path} is not valid TOML: {error}.") from None
    for unknown in content.keys() - {"name", "protocol", *AXES}:
        raise unknown_choice("field in the study file", unknown, ["name", *AXES, "protocol"])
    table = content.get("protocol", {})
    if not isinstance(table, dict):
        raise InputError(f'protocol in {path} must be a table such as [protocol] with base = "paper".')
    base = table.pop("base", "paper")
    if base not in PROTOCOLS:
        raise unknown_choice("protocol", str(base), list(PROTOCOLS))
    name = content.get("name", path.stem)
    protocol = changed(PROTOCOLS[base], "name", name)
    for dotted, value in _flattened(table):
        protocol = changed(protocol, dotted, value)
    axes: dict[str, Any] = {axis: _as_tuple(path, axis, content[axis]) for axis in AXES if axis in content}
    return replace(STUDIES["paper"], name=name, protocol=protocol, words=(str(path),), **axes)


def _flattened(table: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _as_tuple(path: Path, axis: str, value: Any) -> tuple:
    kinds: dict[str, Any] = {"forget_rates": (int, float), "seeds": int}
    kind = kinds.get(axis, str)
    if not isinstance(value, list) or not all(isinstance(item, kind) for item in value):
        raise InputError(f"{axis} in {path} must be a list such as {getattr(STUDIES['paper'], axis)!r}.")
    return tuple(float(item) for item in value) if axis == "forget_rates" else tuple(value)


def narrowed(study: Study, axes: dict[str, Any], settings: Iterable[str]) -> Study:
    """`study` with the given axes in place of its own and `section.field=value` settings in its protocol."""
    given: dict[str, Any] = {axis: tuple(dict.fromkeys(values)) for axis, values in axes.items() if values}
    words = [word for axis, values in given.items() for value in values for word in (_option(axis), str(value))]
    study = replace(study, **given, axis_words=tuple(words))
    for setting in settings:
        dotted, equals, value = setting.partition("=")
        if not equals:
            raise InputError(f"a setting looks like training.epochs=5, not {setting!r}.")
        named = (*study.words, "--set", setting)
        study = replace(study, protocol=changed(study.protocol, dotted, value), words=named)
    return study


def _option(axis: str) -> str:
    return f"--{axis.removesuffix('s').replace('_', '-')}"


def checked(study: Study) -> Study:
    """`study` itself, once every axis and the protocol are valid. Raises InputError naming what is not."""
    for axis in AXES:
        if not getattr(study, axis):
            raise InputError(f"the study {study.name!r} has no {axis.replace('_', ' ')}; give at least one.")
    for rate in study.forget_rates:
        check_forget_rate(rate)
    for augmentation in study.augmentations:
        if augmentation not in AUGMENTATIONS:
            raise unknown_choice("augmentation", augmentation, list(AUGMENTATIONS))
    for method in study.methods:
        check_method(method, study.protocol)
    for seed in study.seeds:
        if not 0 <= seed < 2**31:
            raise InputError(f"seed must be from 0 to {2**31 - 1}, not {seed}.")
    validated(study.protocol)
    return study


def check_method(text: str, protocol: Protocol) -> None:
    """Raise InputError unless `text` names a control, or a method whose settings fit."""
    if text not in CONTROLS:
        Variant.parse(text, also=CONTROLS).resolved(protocol)
