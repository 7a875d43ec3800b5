"""One validator for every settings dataclass, from what its fields declare."""

from dataclasses import dataclass, field
from math import inf, nan

import pytest

from salun_grid.records.errors import InputError, nearest, shown, unknown_choice
from salun_grid.trainables.methods import METHODS
from salun_grid.trainables.methods.scrub import Scrub
from salun_grid.trainables.methods.variants import Variant
from salun_grid.trainables.protocol import Protocol
from salun_grid.trainables.settings import changed, find_setting, setting, settings_of, validated


@dataclass(frozen=True)
class Inner:
    rate: float = setting(0.5, above=0, at_most=1, unit="fraction", doc="A rate.", source="a paper")
    label: str = setting("a", one_of=("a", "b"))


@dataclass(frozen=True)
class Outer:
    count: int = setting(3, at_least=1)
    side: int = setting(64, zero="its own", at_least=8, at_most=512)
    steps: tuple[float, ...] = setting((0.5,), above=0, below=1, rising=True)
    maybe: int | None = setting(None, at_least=1)
    flag: bool = setting(False)
    inner: Inner = field(default_factory=Inner)


def test_nested_settings_have_dotted_names() -> None:
    assert [each.name for each in settings_of(Outer)] == [
        *("count", "side", "steps", "maybe", "flag"),
        *("inner.rate", "inner.label"),
    ]
    rate = find_setting(Outer, "inner.rate")
    assert (rate.kind, rate.default, rate.unit, rate.doc, rate.source) == (float, 0.5, "fraction", "A rate.", "a paper")
    assert rate.allowed == "a number, above 0, at most 1 (fraction)"
    assert find_setting(Outer, "side").allowed == "a whole number, 0 (its own) or at least 8, at most 512"
    assert find_setting(Outer, "maybe").allowed == "a whole number, at least 1, or none"
    assert find_setting(Outer, "inner.label").allowed == "one of a, b"


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("count", "7", 7),
        ("count", 7, 7),
        ("count", 7.0, 7),
        ("count", "1e3", 1000),
        ("side", 0, 0),
        ("inner.rate", "1", 1.0),
        ("inner.rate", 1, 1.0),
        ("steps", "0.25, 0.5", (0.25, 0.5)),
        ("steps", "0.25 0.5", (0.25, 0.5)),
        ("steps", [0.25, 0.5], (0.25, 0.5)),
        ("maybe", "none", None),
        ("maybe", "2", 2),
        ("flag", "true", True),
        ("flag", True, True),
        ("inner.label", "b", "b"),
    ],
)
def test_text_and_values_become_the_type_of_the_setting(name: str, value: object, found: object) -> None:
    config = changed(Outer(), name, value)
    own = config.inner if "." in name else config
    value = getattr(own, name.rpartition(".")[2])
    assert value == found
    assert type(value) is type(found)
    assert validated(config) is config


BAD = {
    "count": [
        0,
        -1,
        "0",
        1.5,
        "1.5",
        "many",
        "",
        "0x1",
        True,
        None,
        nan,
        inf,
        "nan",
        "inf",
        "-" * 400,
        [1],
        {},
        "\x1b",
    ],
    "side": [7, 513, -1, "7", True],
    "steps": [(0.5, 0.25), "0.5,0.25", [0], [1], "x", "0.2 x", [True], ["0.5"], 0.5, None, [nan]],
    "maybe": [0, "0", "", "nothing", True],
    "flag": ["yes", 1, "", None],
    "inner.rate": [0, 1.1, nan, inf, -inf, "nan", "1e999", True, None, "", [0.5]],
    "inner.label": ["c", "", "A", 1, None, "a\n", "a" * 1000],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_a_bad_value_is_refused_by_name_in_one_line(name: str, value: object) -> None:
    with pytest.raises(InputError) as error:
        changed(Outer(), name, value)
    message = str(error.value)
    assert message.startswith(f"{name} must be {find_setting(Outer, name).allowed}, not ")
    assert message.isprintable() and len(message) < 300


@pytest.mark.parametrize(("name", "value"), [("count", 0), ("count", True), ("count", 1.0), ("inner", Inner(rate=nan))])
def test_what_was_constructed_badly_is_refused(name: str, value: object) -> None:
    with pytest.raises(InputError, match=rf"^{name}"):
        validated(Outer(**{name: value}))


@pytest.mark.parametrize("config", [Protocol, *(method.settings for method in METHODS.values())])
def test_every_setting_of_the_program_says_what_it_may_be(config: type) -> None:
    """A number without a range would be refused only where it does harm."""
    validated(config())
    for each in settings_of(config):
        bounds = (each.range.above, each.range.at_least, each.range.below, each.range.at_most)
        bounded = any(bound is not None for bound in bounds)
        assert bounded or each.range.one_of or each.kind in (bool, str) or each.name == "model.pixel_mean", each.name


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("inner.rat", "inner.rate"),
        ("inner.lr", "inner.learning_rate"),
        ("lr", "learning_rate"),
        ("Count", "count"),
        ("xyzzy", ""),
    ],
)
def test_the_nearest_name_is_found_by_initials_or_spelling(given: str, found: str) -> None:
    assert nearest(given, ["count", "inner.rate", "inner.learning_rate", "learning_rate"]) == found


def test_a_value_is_shown_escaped_and_cut() -> None:
    assert shown("a\x1b[2J\n") == r"'a\x1b[2J\n'"
    assert len(shown("x" * 1000)) < 70


def test_a_variant_may_hold_several_numbers() -> None:
    """With spaces between them, since commas part its settings; a study file has a list."""
    written = Variant.parse("scrub:decay_epochs=2 4,alpha=0.1")
    listed = Variant.from_table({"name": "scrub", "decay_epochs": [2, 4], "alpha": 0.1})
    assert written == listed == Variant.parse(str(listed))
    settings, _ = written.resolved(Protocol())
    assert isinstance(settings, Scrub) and settings.decay_epochs == (2.0, 4.0)


@pytest.mark.parametrize(("count", "end"), [(24, "n22, n23."), (25, "n22, n23 and 1 more."), (40, "n23 and 16 more.")])
def test_a_list_of_choices_says_how_many_it_leaves_out(count: int, end: str) -> None:
    choices = [f"n{number}" for number in range(count)]
    assert str(unknown_choice("name", "zzz", choices)).endswith(end)
