"""The plan of a study: the specs of its cells and their dependencies. Shared work is the same spec."""

import shlex
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any

from salun_grid.grid.graph import closure
from salun_grid.grid.specs import ORIGINAL, RETRAIN, RETRAIN_AGAIN, Evaluate, Probe, Spec, Train, Unlearn
from salun_grid.grid.store import Store
from salun_grid.grid.study import Study, public_words
from salun_grid.records.errors import InputError
from salun_grid.trainables.architectures import check_architecture
from salun_grid.trainables.data import DatasetInfo, describe, with_class_counts
from salun_grid.trainables.forget import FORGET_RULES, ForgetSet, Rule, Selection, parse_rule
from salun_grid.trainables.methods import METHODS, Settings
from salun_grid.trainables.methods.variants import Variant
from salun_grid.trainables.precision import Precision, here
from salun_grid.trainables.probes import PROBES, ChosenProbe
from salun_grid.trainables.protocol import Protocol, SaliencyConfig
from salun_grid.trainables.versions import version_in_key

# What jobs make, and the name of their keys in a study's summary.
MADE = {"model": "models", "row": "rows", "measures": "measures"}


@dataclass(frozen=True)
class Plan:
    """The jobs of a study: `cells` are its evaluations, `probes` its probes.

    `jobs` are by key, in topological order; `datasets` and `precisions` are by source. A precision is the protocol's,
    resolved on this machine for the dataset's images; all jobs of the dataset use it. `notes` list what was merged.
    """

    study: Study
    datasets: dict[str, DatasetInfo]
    precisions: dict[str, Precision]
    cells: tuple[Evaluate, ...]
    probes: tuple[Probe, ...]
    jobs: dict[str, Spec]
    notes: tuple[str, ...] = ()

    @property
    def num_cells(self) -> int:
        return len(self.cells)

    @property
    def num_jobs_unshared(self) -> int:
        """The number of jobs if no cells shared models."""
        return sum(len(closure([cell])) for cell in self.cells)

    def summary(self) -> dict[str, Any]:
        """Input of `status` and the analysis: the study, its command without ids, its question and its keys."""
        command = shlex.join(["salun-grid", "run", *self.study.words, *public_words(self.study)])
        made = {what: [key for key, job in self.jobs.items() if job.makes == what] for what in MADE}
        question = replace(self.study.question, methods=self.study.family).as_json()
        keys = {MADE[what]: found for what, found in made.items()}
        return {"study": self.study.name, "command": command, "question": question, **keys}


def make_plan(study: Study) -> Plan:
    """Plan a study. MedMNIST's files are loaded only if a forget rule needs the labels.

    Raises InputError for an unknown or damaged dataset, or a rule that leaves the forget or retain set empty.
    """
    resolved.cache_clear()
    protocol = study.protocol
    datasets = {source: described(source, study) for source in study.datasets}
    rules = {source: rules_of(study, info) for source, info in datasets.items()}
    precisions = {source: here(protocol.model, info.num_classes, info.image_size) for source, info in datasets.items()}
    cells = tuple(
        cell
        for source, augmentation, seed in product(study.datasets, study.augmentations, study.seeds)
        for cell in cells_of(
            original_of(study, datasets[source], precisions[source], augmentation, seed), study, tuple(rules[source])
        )
    )
    notes = [
        f"forget set {same.label} of {source} has the same images as {rule.label}, and is left out."
        for source, kept in rules.items()
        for rule, merged in kept.items()
        for same in merged
    ]
    probes = tuple(probe for cell in cells for probe in probes_of(cell, study))
    return Plan(study, datasets, precisions, cells, probes, closure([*cells, *probes]), (*study.notes, *notes))


def described(source: str, study: Study) -> DatasetInfo:
    """The dataset, with class counts if a forget rule of the study needs them."""
    info = describe(source, study.protocol.image_size, study.allow_empty_classes)
    needs_labels = any(parse_rule(text).needs_labels for text in study.forget_sets)
    check_architecture(study.protocol.model, info.num_classes, info.image_size)
    return with_class_counts(info) if needs_labels else info


def rules_of(study: Study, data: DatasetInfo) -> dict[Selection, list[Selection]]:
    """The distinct selections of the forget rules on `data`, each with those of the same images."""
    kept: dict[Hashable, Selection] = {}
    rules: dict[Selection, list[Selection]] = {}
    for rule in map(parse_rule, study.forget_sets):
        check_methods(study, rule)
        selection = rule.on(data)
        for seed in study.seeds:
            selection.count(data, seed)
        first = kept.setdefault((type(selection), selection.same_on(data)), selection)
        rules.setdefault(first, []).extend([selection] if selection != first else [])
    return rules


def check_methods(study: Study, rule: Rule) -> None:
    """Raise InputError if a method of the study does not support `rule`."""
    kind = rule.written.partition(":")[0]
    for text in study.methods:
        method = METHODS.get(text.partition(":")[0])
        if method and method.forget_rules and kind not in method.forget_rules:
            supported = " or ".join(FORGET_RULES[name].example for name in method.forget_rules)
            raise InputError(
                f"the method {text.partition(':')[0]} cannot forget {rule.public}; give --forget {supported}, or leave "
                "the method out."
            )


def original_of(study: Study, data: DatasetInfo, precision: Precision, augmentation: str, seed: int) -> Train:
    """The training on all of D_i that is shared by the cells of a dataset, augmentation and seed."""
    protocol = study.protocol
    strengths = protocol.augmentation if augmentation != "none" else None
    model = precision.of(protocol.model)
    return Train(data, model, protocol.training, augmentation, strengths, seed)


def cells_of(original: Train, study: Study, rules: tuple[Selection, ...]) -> Iterator[Evaluate]:
    """The evaluations of the cells of an original: each method for each of `rules`."""
    protocol = study.protocol
    for rule in rules:
        forget = ForgetSet(rule, original.seed)
        for method in study.methods:
            yield Evaluate(subject_of(method, original, forget, study), forget, protocol.evaluation)


def probes_of(cell: Evaluate, study: Study) -> Iterator[Probe]:
    """The study's probes of the model of a cell."""
    for text in study.probes:
        chosen = ChosenProbe.parse(text)
        version = version_in_key(PROBES[chosen.name].version, PROBES[chosen.name].run)
        yield Probe(cell.subject, cell.forget, chosen.name, chosen.settings(), version, str(chosen))


def subject_of(method: str, original: Train, forget: ForgetSet, study: Study) -> Train | Unlearn:
    """The spec of the model of `method`: a training, the original itself, or an unlearned model."""
    protocol = study.protocol
    if method in (RETRAIN, RETRAIN_AGAIN):
        return Train(
            original.data,
            original.model,
            original.training,
            original.augmentation,
            original.strengths,
            original.seed,
            forget,
            again=method == RETRAIN_AGAIN,
        )
    if method == ORIGINAL:
        return original
    name, settings, mask, version, variant = resolved(method, protocol)
    return Unlearn(original, forget, name, settings, mask, original.seed, version, variant)


@cache
def resolved(method: str, protocol: Protocol) -> tuple[str, Settings, SaliencyConfig | None, int | str, str]:
    """A study's method under its protocol: name, settings, mask, version, and canonical text. Cached per plan."""
    variant = Variant.parse(method)
    settings, mask = variant.resolved(protocol)
    entry = METHODS[variant.method]
    return variant.method, settings, mask, version_in_key(entry.version, entry.unlearn), str(variant)


def finished_jobs(plan: Plan, store: Store) -> set[str]:
    """Keys of the plan's jobs whose result is published."""
    published = {what: store.published(what) for what in {job.makes for job in plan.jobs.values()}}
    return {key for key, job in plan.jobs.items() if key in published[job.makes]}


def missing_jobs(plan: Plan, store: Store) -> list[Spec]:
    """The pending jobs. A missing model whose dependents are all done is not needed."""
    return list(closure([*plan.cells, *plan.probes], finished_jobs(plan, store)).values())
