"""What a key is: a hash of what a spec says beyond its defaults."""

import hashlib
from dataclasses import dataclass, field, make_dataclass

import pytest

from salun_grid.grid.keys import hash_of, key_of, without_defaults


@dataclass(frozen=True)
class Section:
    alpha: float = 0.5
    names: tuple[str, ...] = ("a",)


@dataclass(frozen=True)
class Spec:
    number: int
    section: Section = field(default_factory=Section)
    extra: Section | None = None

    @property
    def key(self) -> str:
        return key_of(self)


def test_a_key_is_the_hash_of_sorted_json_without_blanks() -> None:
    text = b'{"format":3,"kind":"train","seeds":[1,null,0.1]}'
    assert hash_of({"seeds": [1, None, 0.1], "kind": "train", "format": 3}) == hashlib.sha256(text).hexdigest()[:20]
    spec = Spec(3, Section(alpha=0.9))
    assert key_of(spec) == hash_of({"format": 3, "kind": "Spec", "number": 3, "section": {"alpha": 0.9}})


def test_defaults_are_left_out_at_every_depth() -> None:
    assert without_defaults(Spec(3)) == {"number": 3}
    assert without_defaults(Spec(3, Section(0.5, ("b",)), Section())) == {
        "number": 3,
        "section": {"names": ["b"]},
        "extra": {},
    }


def test_a_new_field_with_a_default_moves_no_key() -> None:
    grown = make_dataclass("Section", [("beta", int, field(default=1))], bases=(Section,), frozen=True)
    grown_spec = make_dataclass("Spec", [("more", str, field(default="x"))], bases=(Spec,), frozen=True)
    assert key_of(Spec(3, grown(alpha=0.9))) == key_of(Spec(3, Section(alpha=0.9)))
    assert key_of(grown_spec(3)) == key_of(Spec(3))
    assert key_of(Spec(3, grown(alpha=0.9, beta=2))) != key_of(Spec(3, Section(alpha=0.9)))
    assert key_of(grown_spec(3, more="y")) != key_of(Spec(3))


def test_a_spec_within_a_spec_counts_by_its_key() -> None:
    @dataclass(frozen=True)
    class Outer:
        inner: Spec

    assert without_defaults(Outer(Spec(3))) == {"inner": Spec(3).key}


def test_what_is_no_json_number_has_no_key() -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        key_of(Spec(3, Section(alpha=float("nan"))))
    with pytest.raises(TypeError, match="no canonical form"):
        key_of(Spec({1}))  # type: ignore[arg-type]
