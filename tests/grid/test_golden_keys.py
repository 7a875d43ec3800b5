"""Keys that published results have: they stay, or FORMAT_VERSION is raised on purpose.

`python -m tests.grid.test_golden_keys` adds the keys of new entries to golden_keys.json, and changes none.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from salun_grid.grid.keys import FORMAT_VERSION
from salun_grid.grid.plan import resolved
from salun_grid.grid.specs import Evaluate, Probe, Spec, Train, Unlearn
from salun_grid.trainables.architectures import ARCHITECTURES, with_architecture
from salun_grid.trainables.data import DatasetInfo
from salun_grid.trainables.forget import ForgetSet, Random, Selection
from salun_grid.trainables.forget.by_class import ByClass
from salun_grid.trainables.forget.by_group import GroupShare
from salun_grid.trainables.forget.fixed import Fixed
from salun_grid.trainables.methods import METHODS
from salun_grid.trainables.probes import PROBES, ChosenProbe
from salun_grid.trainables.protocol import PROTOCOLS

FILE = Path(__file__).with_name("golden_keys.json")
COUNTS = {"train": 1000, "val": 100, "test": 200}
DATA = DatasetInfo("d", "d.npz", "sha256:0", 10, 28, 3, COUNTS, (100,) * 10)
# What each rule selects; those with files become fixed images.
SELECTIONS: dict[str, Selection] = {
    "random": Random(0.1),
    "class": ByClass((3,)),
    "classes": ByClass((1, 4)),
    "group": GroupShare(0.1),
    "fixed": Fixed("ids", "request", (2, 3, 5)),
}
RANDOM = ForgetSet(SELECTIONS["random"], 0)


def specs() -> Iterator[tuple[str, Spec]]:
    """One spec for each entry of each dictionary, with its defaults, and one of each kind."""
    for name in PROTOCOLS:
        original = original_of(name)
        yield f"original, protocol {name}", original
        yield f"evaluation, protocol {name}", Evaluate(original, RANDOM, PROTOCOLS[name].evaluation)
    for name in ARCHITECTURES:
        yield f"original, {name}", original_of("paper", name)
    for name, selection in SELECTIONS.items():
        yield f"retrain, {name}", replace(original, forget=ForgetSet(selection, 0))
    yield "second retrain", replace(original, forget=RANDOM, again=True)
    for method in METHODS:
        name, settings, mask, version, variant = resolved(method, PROTOCOLS["paper"])
        yield f"method {method}", Unlearn(original, RANDOM, name, settings, mask, 0, version, variant)
    for probe in PROBES:
        settings = ChosenProbe(probe).settings()
        yield f"probe {probe}", Probe(original, RANDOM, probe, settings, PROBES[probe].version or "")


def original_of(protocol: str, architecture: str = "resnet18") -> Train:
    found = PROTOCOLS[protocol]
    if architecture != "resnet18":
        found = with_architecture(found, architecture)
    return Train(DATA, found.model, found.training, "default", found.augmentation, 0)


def test_every_key_is_the_published_one() -> None:
    golden = json.loads(FILE.read_text())
    assert golden.pop("format") == FORMAT_VERSION
    assert {name: spec.key for name, spec in specs()} == golden


def test_fixed_images_are_identified_by_what_they_are_and_not_by_how_they_were_named() -> None:
    original = original_of("paper")

    def key(selection: Selection, seed: int = 0) -> str:
        return replace(original, forget=ForgetSet(selection, seed)).key

    same = key(Fixed("group", "1", (2, 3, 5), "group:ID"))
    assert key(Fixed("ids", "request", (2, 3, 5), "ids:request.csv"), seed=7) == same
    assert key(Fixed("group", "1", (2, 3, 6))) != same


def test_no_two_of_them_are_equal() -> None:
    keys = [spec.key for name, spec in specs() if name not in ("original, resnet18", "original, protocol strict")]
    assert len(set(keys)) == len(keys)


if __name__ == "__main__":
    known = json.loads(FILE.read_text()) if FILE.exists() else {}
    added = {"format": FORMAT_VERSION} | {name: spec.key for name, spec in specs()}
    FILE.write_text(json.dumps(added | known, indent=1) + "\n")
