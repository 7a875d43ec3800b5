"""Settings: frozen dataclasses whose fields declare their valid values, and one validator for all of them.

`setting(...)` declares a field with its range, unit, description and source. Protocols, study files, the command line,
method variants, catalogues and docs all use these declarations.
"""

from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from functools import cache
from math import isfinite
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from salun_grid.records.errors import MAX_CHOICES, InputError, shown, unknown_choice

Config = TypeVar("Config")
LISTED_BY = "salun-grid settings"
KINDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


@dataclass(frozen=True)
class Range:
    """The valid values of a setting. Bounds apply to each number of a tuple; None is no bound.

    `zero` also allows 0 and gives its meaning; `rising` requires a tuple to be sorted.
    """

    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None
    one_of: tuple[str, ...] = ()
    zero: str = ""
    rising: bool = False

    def holds(self, value: Any) -> bool:
        if isinstance(value, tuple):
            return all(map(self.holds, value)) and (not self.rising or list(value) == sorted(value))
        if isinstance(value, str):
            return value in self.one_of if self.one_of else True
        if self.zero and value == 0:
            return True
        low, high = self.at_least, self.at_most
        inside = (low is None or value >= low) and (high is None or value <= high)
        return inside and (self.above is None or value > self.above) and (self.below is None or value < self.below)

    def __str__(self) -> str:
        if self.one_of:
            return f"one of {', '.join(self.one_of)}"
        low = f"above {self.above:g}" if self.above is not None else ""
        low = f"at least {self.at_least:g}" if self.at_least is not None else low
        high = f"below {self.below:g}" if self.below is not None else ""
        high = f"at most {self.at_most:g}" if self.at_most is not None else high
        between = ", ".join(filter(None, (low, high)))
        return f"0 ({self.zero}) or {between}" if self.zero else between


@dataclass(frozen=True)
class Setting:
    """The declaration of one field; `name` is dotted, such as `training.epochs`."""

    name: str
    kind: type
    optional: bool
    default: Any
    range: Range
    unit: str
    doc: str
    source: str

    @property
    def allowed(self) -> str:
        """The valid values in words: `a whole number, at least 1 (images)`."""
        what = (
            ""
            if self.range.one_of
            else ("numbers separated by commas or spaces" if self.kind is tuple else KINDS[self.kind])
        )
        text = ", ".join(filter(None, (what, str(self.range))))
        return text + (f" ({self.unit})" if self.unit else "") + (", or none" if self.optional else "")

    def refusal(self, value: Any) -> InputError:
        return InputError(f"{self.name} must be {self.allowed}, not {shown(value)}.")


def setting(
    default: Any = MISSING,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
    one_of: tuple[str, ...] = (),
    zero: str = "",
    rising: bool = False,
    unit: str = "",
    doc: str = "",
    source: str = "",
) -> Any:
    """A dataclass field with its range, unit, a one-sentence `doc`, and the source of its default.

    A field may be int, float, str, bool or tuple[float, ...], optionally None; numbers must be finite.
    """
    allowed = Range(above, at_least, below, at_most, one_of, zero, rising)
    return field(default=default, metadata={"range": allowed, "unit": unit, "doc": doc, "source": source})


def settings_of(config: Any) -> tuple[Setting, ...]:
    """Every setting of a dataclass in order; nested dataclasses give dotted names."""
    return _settings_of(config, "")


@cache
def _settings_of(config: Any, prefix: str) -> tuple[Setting, ...]:
    hints = get_type_hints(config)
    found: list[Setting] = []
    for each in fields(config):
        kind, optional = hints[each.name], False
        if get_origin(kind) is UnionType:
            (kind,) = (part for part in get_args(kind) if part is not NoneType)
            optional = True
        if is_dataclass(kind):
            nested: Any = kind
            found += _settings_of(nested, f"{prefix}{each.name}.")
            continue
        about: dict[str, Any] = {"range": Range(), "unit": "", "doc": "", "source": ""} | dict(each.metadata)
        found.append(Setting(f"{prefix}{each.name}", get_origin(kind) or kind, optional, each.default, **about))
    return tuple(found)


def find_setting(config: type, dotted: str) -> Setting:
    """The setting of a dotted name. Raises InputError, naming the nearest, if there is none."""
    found = {each.name: each for each in settings_of(config)}
    if dotted not in found:
        raise unknown_choice("setting", dotted, list(found), LISTED_BY if len(found) > MAX_CHOICES else "")
    return found[dotted]


def value_at(config: Any, dotted: str) -> Any:
    """The value of a dotted name."""
    for name in dotted.split("."):
        config = getattr(config, name)
    return config


def changed(config: Config, dotted: str, value: Any, typed: bool = False) -> Config:
    """`config` with the setting `dotted` at `value`: text, as on a command line, or a value of its type.

    If `typed`, as for TOML, text is accepted only for a text setting. Raises InputError naming the setting, the value
    and what is allowed.
    """
    declared = find_setting(type(config), dotted)
    if typed and isinstance(value, str) and declared.kind is not str:
        raise declared.refusal(value)
    new = converted(declared, value)
    if not (new is None or (is_finite(new) and declared.range.holds(new))):
        raise declared.refusal(value)
    return _replaced(config, dotted.split("."), new)


def _replaced(config: Any, names: list[str], value: Any) -> Any:
    first, *rest = names
    return replace(config, **{first: _replaced(getattr(config, first), rest, value) if rest else value})


def validated(config: Config) -> Config:
    """Return `config`. Raises InputError unless every setting has its type and is in its range."""
    for declared in settings_of(type(config)):
        value = value_at(config, declared.name)
        if value is None and declared.optional:
            continue
        kind = (int, float) if declared.kind is float else declared.kind
        if not isinstance(value, kind) or (isinstance(value, bool) and declared.kind is not bool):
            raise declared.refusal(value)
        if not (is_finite(value) and declared.range.holds(value)):
            raise declared.refusal(value)
    return config


def is_finite(value: Any) -> bool:
    """Whether a number, or each number of a tuple, is finite; for text, whether it is printable."""
    if isinstance(value, tuple):
        return all(map(is_finite, value))
    return value.isprintable() if isinstance(value, str) else isinstance(value, int) or isfinite(value)


def converted(declared: Setting, value: Any) -> Any:
    """`value` converted to its setting's type; text is parsed as on a command line unless the setting is text."""
    if isinstance(value, str) and declared.kind is not str:
        return _from_text(declared, value.strip())
    if declared.kind is tuple:
        if not isinstance(value, list | tuple):
            raise declared.refusal(value)
        return tuple(_number(declared, part, float) for part in value)
    if declared.kind in (int, float):
        return _number(declared, value, declared.kind)
    if not isinstance(value, declared.kind):
        raise declared.refusal(value)
    return value


def _number(declared: Setting, value: Any, kind: type) -> Any:
    """A number from TOML; an integer may be written 5.0, and nothing is rounded."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise declared.refusal(value)
    try:
        new = kind(value)
    except (ValueError, OverflowError):
        raise declared.refusal(value) from None
    if new != value and kind is int:
        raise declared.refusal(value)
    return new


def _from_text(declared: Setting, text: str) -> Any:
    if declared.optional and text.lower() == "none":
        return None
    if declared.kind is bool:
        if text.lower() not in ("true", "false"):
            raise declared.refusal(text)
        return text.lower() == "true"
    try:
        if declared.kind is tuple:
            return tuple(map(float, text.replace(",", " ").split()))  # a variant's commas separate its settings
        whole = declared.kind is int and text.lstrip("+-").isdecimal()
        return _number(declared, int(text) if whole else float(text), declared.kind)
    except (ValueError, OverflowError):
        raise declared.refusal(text) from None
