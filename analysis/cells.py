"""Cells: rows of `runs` with the labels used in tables, and the retrain that each is compared with."""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from salun_grid.analysis.rows import Run
from salun_grid.analysis.variants import Differing, differing, variant_name
from salun_grid.records.forget_label import forget_order
from salun_grid.records.text import natural_order

AUGMENTATION_ORDER = {"none": 0, "default": 1, "default+ra": 2}
METHOD_ORDER = {"retrain": 0, "retrain-again": 1, "original": 2}


class Group(NamedTuple):
    """Cells that differ only in seed and method."""

    protocol: str
    dataset: str
    image_size: int
    model: str
    augmentation: str
    forget: str


class Labelled(NamedTuple):
    """A row with its group and the name of its variant."""

    run: Run
    group: Group
    method: str


@dataclass(frozen=True, eq=False)
class Cell:
    """One row of `runs` with its Group, the name of its variant, and its target.

    `target` is the row of the cell's retrain, or None if that has not been evaluated. A retrain is its own target.
    """

    run: Run
    group: Group
    method: str
    target: Run | None = None


def cells_of(runs: Sequence[Run], disambiguated: Collection[str] = (), by: Differing | None = None) -> list[Cell]:
    """A Cell for each row of `runs`, in the order and with the names of `labelled`."""
    retrains = {run["job_key"]: run for run in runs if run["method"] == "retrain"}
    found = labelled(runs, disambiguated, by)
    return [Cell(run, group, method, retrains.get(run["retrain_key"])) for run, group, method in found]


def labelled(rows: Sequence[Run], disambiguated: Collection[str] = (), by: Differing | None = None) -> list[Labelled]:
    """The rows of `runs` or `measures` with their labels, in the order of the tables, by seed within a method.

    The protocol of a group covers the settings for training and evaluating a retrain, not those for unlearning, since
    methods are compared within a group. If two such protocols or two datasets share a name, each label gets four hex
    digits; so does a dataset whose name is in `disambiguated`.

    A variant is named after its method. If a group holds the method with several settings, those that differ follow.
    `by` names these settings, by default those that differ among `rows`.
    """
    group_of = _grouping(rows, disambiguated)
    groups = [group_of(row) for row in rows]
    variants = [(row["method"], row["method_params"]) for row in rows]
    settings = differing((g, *v) for g, v in zip(groups, variants, strict=True)) if by is None else by
    names = {variant: variant_name(*variant, settings) for variant in set(variants)}
    found = [Labelled(row, g, names[v]) for row, g, v in zip(rows, groups, variants, strict=True)]
    return sorted(found, key=lambda one: (_place(one.group, one.method), one.run["seed"]))


def _place(group: Group, method: str) -> tuple:
    """Sort key: dataset, augmentation in the paper's order, forget set; retrain and controls before the methods."""
    augmentation = AUGMENTATION_ORDER.get(group.augmentation, len(AUGMENTATION_ORDER))
    return (
        group.protocol,
        group.dataset,
        group.image_size,
        group.model,
        augmentation,
        group.augmentation,
        forget_order(group.forget),
        METHOD_ORDER.get(method, len(METHOD_ORDER)),
        natural_order(method),
    )


def _grouping(rows: Sequence[Run], disambiguated: Collection[str]) -> Callable[[Run], Group]:
    """A function that maps a row to its Group."""
    basis = {text: _basis(text) for text in {row["protocol_json"] for row in rows}}
    protocols = _labels((basis[row["protocol_json"]], row["protocol"]) for row in rows)
    datasets = {
        size: _labels(
            ((r["dataset_fingerprint"], r["dataset"]) for r in rows if r["image_size"] == size), disambiguated
        )
        for size in {row["image_size"] for row in rows}
    }

    def group_of(row: Run) -> Group:
        protocol = protocols[basis[row["protocol_json"]]]
        dataset = datasets[row["image_size"]][row["dataset_fingerprint"]]
        return Group(protocol, dataset, row["image_size"], row["model"], row["augmentation"], row["forget"])

    return group_of


def _labels(found: Iterable[tuple[str, str]], disambiguated: Collection[str] = ()) -> dict[str, str]:
    """A label for each identity among (identity, name) pairs: its name, with a hash if several identities share it.

    A name in `disambiguated` always gets its hash.
    """
    names: dict[str, set[str]] = defaultdict(set)
    for identity, name in found:
        names[identity].add(name)
    plain = {identity: "/".join(sorted(own)) for identity, own in names.items()}
    uses = Counter(plain.values())
    alone = {identity for identity, name in plain.items() if uses[name] == 1 and name not in disambiguated}
    return {
        identity: name if identity in alone else f"{name} #{hashlib.sha256(identity.encode()).hexdigest()[:4]}"
        for identity, name in plain.items()
    }


def _basis(protocol_json: str) -> str:
    protocol = json.loads(protocol_json)
    return json.dumps([protocol[name] for name in ("model", "training", "augmentation", "evaluation")])


def without_hash(label: str) -> str:
    """The name in a label of a dataset or protocol, without the hash that disambiguates it."""
    return re.sub(r" #[0-9a-f]{4}$", "", label)
