"""Cells: rows with the labels that the tables name them by, and the retrain that each is measured against."""

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
    """A row with its Group and the name of its variant."""

    run: Run
    group: Group
    method: str


@dataclass(frozen=True, eq=False)
class Cell:
    """One row of `runs` with its Group, the name of its variant, and its target.

    `target` is the row of the retrain of this cell, None where that has not been evaluated. A retrain is its own.
    """

    run: Run
    group: Group
    method: str
    target: Run | None = None


def cells_of(runs: Sequence[Run], told_apart: Collection[str] = (), by: Differing | None = None) -> list[Cell]:
    """A Cell for each row of `runs`, in the order and with the names of `labelled`."""
    retrains = {run["job_key"]: run for run in runs if run["method"] == "retrain"}
    found = labelled(runs, told_apart, by)
    return [Cell(run, group, method, retrains.get(run["retrain_key"])) for run, group, method in found]


def labelled(rows: Sequence[Run], told_apart: Collection[str] = (), by: Differing | None = None) -> list[Labelled]:
    """The rows of `runs` or `measures` with their labels, as the tables list them, by seed within a method.

    What trains and evaluates a retrain makes the protocol of a group; how a method unlearns does not, since methods
    are compared within a group. Two such protocols, or two datasets, of one name get four hex digits each; so does a
    dataset whose name is in `told_apart`.

    A variant is named by its method, followed by the settings that differ where one group holds the method with
    several sets of them. `by` names these settings, by default those that differ among `rows`.
    """
    group_of = _grouping(rows, told_apart)
    groups = [group_of(row) for row in rows]
    variants = [(row["method"], row["method_params"]) for row in rows]
    settings = differing((g, *v) for g, v in zip(groups, variants, strict=True)) if by is None else by
    names = {variant: variant_name(*variant, settings) for variant in set(variants)}
    found = [Labelled(row, g, names[v]) for row, g, v in zip(rows, groups, variants, strict=True)]
    return sorted(found, key=lambda one: (_place(one.group, one.method), one.run["seed"]))


def _place(group: Group, method: str) -> tuple:
    """By dataset, then augmentation in the paper's order, then forget set; retrain and controls before the methods."""
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


def _grouping(rows: Sequence[Run], told_apart: Collection[str]) -> Callable[[Run], Group]:
    """A function that gives a row's Group."""
    basis = {text: _basis(text) for text in {row["protocol_json"] for row in rows}}
    protocols = _labels((basis[row["protocol_json"]], row["protocol"]) for row in rows)
    datasets = {
        size: _labels(((r["dataset_fingerprint"], r["dataset"]) for r in rows if r["image_size"] == size), told_apart)
        for size in {row["image_size"] for row in rows}
    }

    def group_of(row: Run) -> Group:
        protocol = protocols[basis[row["protocol_json"]]]
        dataset = datasets[row["image_size"]][row["dataset_fingerprint"]]
        return Group(protocol, dataset, row["image_size"], row["model"], row["augmentation"], row["forget"])

    return group_of


def _labels(found: Iterable[tuple[str, str]], told_apart: Collection[str] = ()) -> dict[str, str]:
    """A label for each identity among (identity, name) pairs: its name, and a hash where others have that name.

    A name of `told_apart` gets its hash in any case.
    """
    names: dict[str, set[str]] = defaultdict(set)
    for identity, name in found:
        names[identity].add(name)
    plain = {identity: "/".join(sorted(own)) for identity, own in names.items()}
    uses = Counter(plain.values())
    alone = {identity for identity, name in plain.items() if uses[name] == 1 and name not in told_apart}
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
