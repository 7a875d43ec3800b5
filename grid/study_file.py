"""Study files: TOML, with the type of each field checked before planning."""

import tomllib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from salun_grid.grid.specs import CONTROLS
from salun_grid.grid.study import ARCHITECTURE, STUDIES, Study, with_setting
from salun_grid.records.errors import InputError, shown, unknown_choice
from salun_grid.records.question import Question, checked
from salun_grid.trainables.forget import Random, check_forget_rate
from salun_grid.trainables.methods.variants import Variant
from salun_grid.trainables.protocol import PROTOCOLS, Protocol

MAX_DEPTH = 8  # of tables under [protocol]
MAX_BYTES = 2**20  # of a study file, which usually has a few lines


def find_study(name: str) -> Study:
    """A built-in study by name, or the study in a .toml file by path. Raises InputError for anything else."""
    if name in STUDIES:
        return STUDIES[name]
    if name.lower().endswith(".toml"):
        return read_study(Path(name))
    raise unknown_choice("study", name, [*STUDIES, "a path to a .toml file"])


def read_study(path: Path) -> Study:
    """A study from TOML: `name`, the five axes as lists, and `[protocol]` with `base` and changed fields.

    Missing fields are those of the study `paper`. Raises InputError with the field, the value and the allowed values.
    """
    content = read_toml(path)
    for unknown in content.keys() - FIELDS.keys():
        raise unknown_choice("field in the study file", unknown, list(FIELDS))
    values = {name: FIELDS[name](name, value) for name, value in content.items() if name != "protocol"}
    if rates := values.pop("forget_rates", ()):
        values["forget_sets"] = (*values.get("forget_sets", ()), *rates)
    name = values.setdefault("name", path.stem)
    protocol = read_protocol(content.get("protocol", {}), name)
    return replace(STUDIES["paper"], protocol=protocol, words=(str(path),), **values)


def read_toml(path: Path) -> dict[str, Any]:
    """The file's top-level table. Raises InputError if the file cannot be read, is not valid TOML, or is empty."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"cannot read the study {shown(str(path))}: {reason}.") from None
    if len(content) > MAX_BYTES:
        raise InputError(f"the study {path} is larger than {MAX_BYTES:,} bytes; give a TOML file of a few lines.")
    try:
        table = tomllib.loads(content.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InputError(f"the study {path} is not valid TOML: {error}.") from None
    if not table:
        raise InputError(f"the study {path} is empty; add a name, datasets or another field.")
    return table


def read_protocol(table: Any, name: str) -> Protocol:
    """The protocol of `[protocol]`: its `base` with the other fields changed, named after the study."""
    if not isinstance(table, dict):
        raise InputError(f'protocol must be a table such as [protocol] with base = "paper", not {shown(table)}.')
    base = text("protocol.base", table.get("base", "paper"))
    if base not in PROTOCOLS:
        raise unknown_choice("protocol", base, list(PROTOCOLS))
    protocol = replace(PROTOCOLS[base], name=name)
    settings = flattened({key: value for key, value in table.items() if key != "base"})
    # The architecture first: the settings of the file override its recipe.
    for dotted, value in sorted(settings, key=lambda setting: setting[0] != ARCHITECTURE):
        protocol = with_setting(protocol, dotted, value, typed=True)
    return protocol


def flattened(table: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Dotted names and values of nested tables. Raises InputError if they are nested deeper than any setting."""
    if prefix.count(".") > MAX_DEPTH:
        raise InputError(f"protocol is nested too deeply at {shown(prefix)}; write a setting as training.epochs = 5.")
    for name, value in table.items():
        if isinstance(value, dict):
            yield from flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


# --- the types of the fields --------------------------------------------------------------------------------


def text(field: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f"{field} must be text in quotes, not {shown(value)}.")
    return value


def truth(field: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InputError(f"{field} must be true or false, not {shown(value)}.")
    return value


def dataset(field: str, value: Any) -> str:
    if not text(field, value) or not value.isprintable():
        raise InputError(f"{field} must be names of datasets or paths to .npz files, not {shown(value)}.")
    return value


def rate(field: str, value: Any) -> str:
    """A fraction to forget, as the label of its random forget set."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{field} must be numbers between 0 and 1, not {shown(value)}.")
    return Random(float(check_forget_rate(value))).label


def seed(field: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{field} must be whole numbers from 0, not {shown(value)}.")
    return value


def method(field: str, value: Any) -> str:
    """A control or a variant, as text or as a table with a name."""
    if isinstance(value, dict) and value.get("name") in CONTROLS:
        raise InputError(f"{field}: {value['name']} is a control and has no settings; write it as text.")
    return str(Variant.from_table(value, also=CONTROLS)) if isinstance(value, dict) else text(field, value)


def list_of(item: Callable[[str, Any], Any], example: tuple = ()) -> Callable[[str, Any], tuple]:
    """A reader of non-empty lists; the error message shows `example`, or the values of the study `paper`."""

    def read(field: str, value: Any) -> tuple:
        if not isinstance(value, list) or not value:
            some = example or getattr(STUDIES["paper"], field)[:2]
            listed = ", ".join(f'"{each}"' if isinstance(each, str) else f"{each:g}" for each in some)
            raise InputError(f"{field} must be a list such as [{listed}], not {shown(value)}.")
        return tuple(item(field, each) for each in value)

    return read


def question(field: str, value: Any) -> Question:
    """The table [question], with `attack` and `margin_points`."""
    if not isinstance(value, dict):
        raise InputError(f"{field} must be a table such as [question] with margin_points = 1.0, not {shown(value)}.")
    for unknown in value.keys() - {"attack", "margin_points"}:
        raise unknown_choice("field of [question]", unknown, ["attack", "margin_points"])
    return checked(Question(**value))


# The reader of each field of a study file; the table `protocol` is read separately.
FIELDS: dict[str, Callable[[str, Any], Any]] = {
    "name": text,
    "datasets": list_of(dataset),
    "forget_sets": list_of(text),
    "forget_rates": list_of(rate, (0.1, 0.5)),
    "augmentations": list_of(text),
    "seeds": list_of(seed),
    "methods": list_of(method),
    "probes": list_of(text, ("relearn",)),
    "allow_empty_classes": truth,
    "question": question,
    "protocol": lambda field, value: value,
}
