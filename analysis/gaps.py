"""Gaps to the retrain, paired by cell, and their average AG. Pure functions over rows of `runs`."""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from salun_grid.analysis.results import Run
from salun_grid.analysis.statistics import Spread, spread
from salun_grid.analysis.variants import Differing, differing, variant_name
from salun_grid.records.errors import InputError
from salun_grid.records.forget_label import forget_name, forget_order
from salun_grid.records.text import natural_order

METRICS = ("ua", "ra", "ta", "mia")
# Table 1 of the paper averages four gaps; its printed Table 2 equals the average of three, without RA.
AVERAGES: dict[str, tuple[str, ...]] = {"ag": METRICS, "ag3": ("ua", "ta", "mia")}

AUGMENTATION_ORDER = {"none": 0, "default": 1, "default+ra": 2}
METHOD_ORDER = {"retrain": 0, "retrain-again": 1, "original": 2}

# What a method is measured against: doing nothing, and what two retrainings differ by.
NOTHING, NOISE = "original", "retrain-again"
FLOORS = {NOTHING: "original (nothing unlearned)", NOISE: "retrain-again (noise floor)"}
CONTROLS = {"retrain", *FLOORS}


class Group(NamedTuple):
    """Cells that differ only in seed and method."""

    protocol: str
    dataset: str
    image_size: int
    model: str
    augmentation: str
    forget: str


def signed_gaps(run: Run, retrain: Run) -> dict[str, float]:
    """Each metric minus the retrain's, in percentage points."""
    return {metric: run[metric] - retrain[metric] for metric in METRICS}


def gaps(run: Run, retrain: Run) -> dict[str, float]:
    """Absolute gap of each metric to the retrain's, in percentage points, with the averages `ag` and `ag3`."""
    each = {metric: abs(gap) for metric, gap in signed_gaps(run, retrain).items()}
    return each | {name: float(np.mean([each[metric] for metric in over])) for name, over in AVERAGES.items()}


def paired(runs: list[Run]) -> list[tuple[Run, Run | None]]:
    """Each run with the retrain of its cell, or None where that has not landed."""
    retrains = {run["job_key"]: run for run in runs if run["method"] == "retrain"}
    return [(run, retrains.get(run["retrain_key"])) for run in runs]


def grouping(runs: list[Run], told_apart: Collection[str] = ()) -> Callable[[Run], Group]:
    """A function that gives a run's Group.

    What trains and evaluates a retrain makes the protocol of a group; how a method unlearns does not, since
    methods are compared within a group. Two such protocols, or two datasets, of one name get four hex digits each; so
    does a dataset whose name is in `told_apart`.
    """
    basis = {text: _basis(text) for text in {run["protocol_json"] for run in runs}}
    protocols = _labels((basis[run["protocol_json"]], run["protocol"]) for run in runs)
    datasets = {
        size: _labels(((r["dataset_fingerprint"], r["dataset"]) for r in runs if r["image_size"] == size), told_apart)
        for size in {run["image_size"] for run in runs}
    }

    def group_of(run: Run) -> Group:
        protocol = protocols[basis[run["protocol_json"]]]
        dataset = datasets[run["image_size"]][run["dataset_fingerprint"]]
        return Group(protocol, dataset, run["image_size"], run["model"], run["augmentation"], run["forget"])

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


@dataclass(frozen=True)
class Summary:
    """One method in one group, over its seeds: each metric, each gap (empty without retrains), RTE.

    `method` is the name of its variant, `base` that of the method alone. `gaps` are absolute and hold the averages too,
    `signed` are method minus retrain; `…_by_seed` hold the seeds whose retrain exists, ascending. `seconds_on` is RTE
    in seconds on each device: seconds of different devices are never averaged.
    """

    group: Group
    method: str
    base: str
    values: dict[str, Spread]
    gaps: dict[str, Spread]
    signed: dict[str, Spread]
    seconds_on: dict[str, Spread]
    seeds: tuple[int, ...]
    ag_by_seed: dict[int, float]
    signed_by_seed: dict[int, dict[str, float]]


def summarise(runs: list[Run], told_apart: Collection[str] = (), by: Differing | None = None) -> list[Summary]:
    """One Summary for each group and variant, retrain first, then the noise floor and the no-op `original`.

    Datasets and variants are named as `labelling` names them.
    """
    members: dict[tuple[Group, str], list[tuple[Run, Run | None]]] = defaultdict(list)
    label = labelling(runs, told_apart, by)
    for run, retrain in paired(runs):
        members[label(run)].append((run, retrain))
    keys = sorted(members, key=lambda key: _place(*key))
    return [_summary(group, method, members[group, method]) for group, method in keys]


def in_order(runs: list[Run]) -> list[Run]:
    """The rows as the tables list them, by seed within a method; files come in the order of their keys."""
    label = labelling(runs)
    return sorted(runs, key=lambda run: (_place(*label(run)), run["seed"]))


def _place(group: Group, method: str) -> tuple:
    """By dataset, then augmentation in the paper's order, then forget set; retrain and floors before the methods."""
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


def _summary(group: Group, method: str, pairs: list[tuple[Run, Run | None]]) -> Summary:
    runs = [run for run, _ in pairs]
    twice = [seed for seed, count in Counter(run["seed"] for run in runs).items() if count > 1]
    if twice:
        raise InputError(
            f"seed {twice[0]} of {method} on {group.dataset}, {group.augmentation}, forgetting "
            f"{forget_name(group.forget)}, is there twice; put results that are not one study in folders of their own."
        )
    pairs = sorted(pairs, key=lambda pair: pair[0]["seed"])
    per_seed = {run["seed"]: gaps(run, retrain) for run, retrain in pairs if retrain}
    signed = {run["seed"]: signed_gaps(run, retrain) for run, retrain in pairs if retrain}
    names = (*METRICS, *AVERAGES)
    return Summary(
        group=group,
        method=method,
        base=runs[0]["method"],
        values={metric: spread(run[metric] for run in runs) for metric in METRICS},
        gaps={name: spread(gap[name] for gap in per_seed.values()) for name in names} if per_seed else {},
        signed={name: spread(gap[name] for gap in signed.values()) for name in METRICS} if signed else {},
        seconds_on={name: spread(run["seconds_total"] for run in own) for name, own in _by_device(runs).items()},
        seeds=tuple(sorted(run["seed"] for run in runs)),
        ag_by_seed={seed: gap["ag"] for seed, gap in per_seed.items()},
        signed_by_seed=signed,
    )


def _by_device(runs: list[Run]) -> dict[str, list[Run]]:
    """The rows of each device, by name; several workers on one kind of device are another device."""
    found: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        workers = f", {run['num_workers']} workers" if run["num_workers"] > 1 else ""
        found[f"{run['device_name']}{workers}"].append(run)
    return dict(sorted(found.items()))


def labelling(
    runs: list[Run], told_apart: Collection[str] = (), by: Differing | None = None
) -> Callable[[Run], tuple[Group, str]]:
    """A function that gives a run's Group, as `grouping` does, and the name of its variant.

    That is the method, followed by the settings that differ where one group holds the method with several sets of
    them. `by` names these settings, by default those that differ among `runs`.
    """
    group_of = grouping(runs, told_apart)
    settings = differing_settings(runs) if by is None else by
    pairs = {(run["method"], run["method_params"]) for run in runs}
    names = {pair: variant_name(*pair, settings) for pair in pairs}
    return lambda run: (group_of(run), names[run["method"], run["method_params"]])


def differing_settings(runs: list[Run]) -> dict[str, list[str]]:
    """For each method that some group holds in several variants, the settings in which they differ."""
    group_of = grouping(runs)
    return differing((group_of(run), run["method"], run["method_params"]) for run in runs)


def without_hash(label: str) -> str:
    """The name in a label of a dataset or protocol, without the hash that disambiguates it."""
    return re.sub(r" #[0-9a-f]{4}$", "", label)
