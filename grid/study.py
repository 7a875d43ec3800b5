"""Studies: a named set of cells with one protocol, built in, or changed on the command line."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from salun_grid.grid.specs import CONTROLS, RETRAIN
from salun_grid.records import question
from salun_grid.records.errors import InputError, shown, unknown_choice
from salun_grid.records.question import Question
from salun_grid.trainables.architectures import with_architecture
from salun_grid.trainables.augmentation import AUGMENTATIONS
from salun_grid.trainables.forget import parse_rule
from salun_grid.trainables.methods import METHODS
from salun_grid.trainables.methods.variants import Variant
from salun_grid.trainables.probes import ChosenProbe
from salun_grid.trainables.protocol import PROTOCOLS, Protocol
from salun_grid.trainables.settings import changed, validated

PAPER_DATASETS = ("pathmnist", "organamnist", "bloodmnist")
ARCHITECTURE = "model.architecture"
MAX_NAME = 100  # characters; the name is also a folder's, and file systems limit those


@dataclass(frozen=True)
class Study:
    """A set of cells with one protocol: every combination of the five axes is a cell.

    `words` are the command-line words for the study and its protocol, `axis_words` those for the axes given there.
    `notes` list what was merged or looks unintended. `allow_empty_classes` accepts labels that skip a class number.
    `probes` are run on every model. `question` is what the analysis tests; it enters no key.
    """

    name: str
    datasets: tuple[str, ...]
    forget_sets: tuple[str, ...]
    augmentations: tuple[str, ...]
    seeds: tuple[int, ...]
    methods: tuple[str, ...]
    protocol: Protocol
    words: tuple[str, ...]
    axis_words: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    allow_empty_classes: bool = False
    probes: tuple[str, ...] = ()
    question: Question = field(default_factory=Question)

    @property
    def family(self) -> tuple[str, ...]:
        """The methods that the question is asked of: all but the retrain and the controls."""
        return tuple(method for method in self.methods if method not in CONTROLS)


# Each axis and the option that replaces it.
AXES = {
    "datasets": "--dataset",
    "forget_sets": "--forget",
    "augmentations": "--augmentation",
    "seeds": "--seed",
    "methods": "--method",
}


def _built_in(name: str, protocol: str, **axes: Any) -> Study:
    return Study(
        name=name,
        datasets=axes.get("datasets", PAPER_DATASETS),
        forget_sets=axes.get("forget_sets", ("random:0.1", "random:0.5")),
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
        datasets=("blood_cells",),
        forget_sets=("random:0.2",),
        augmentations=("none",),
        seeds=(0, 1, 2, 3, 4),
        methods=(*CONTROLS, "finetune", "salun"),
    ),
    "digits": _built_in(
        "digits",
        "digits",
        datasets=("digits",),
        augmentations=("none", "default"),
        seeds=(0, 1),
        methods=(*CONTROLS, "salun:learning_rate=0.0065"),
    ),
    "paper": _built_in("paper", "paper"),
    "strict": _built_in("strict", "strict", seeds=(0, 1, 2)),
    # Every method that forgets random images, at its published settings.
    "methods": _built_in(
        "methods",
        "paper",
        augmentations=("default",),
        seeds=(0, 1, 2, 3, 4),
        methods=(*CONTROLS, *(name for name, method in METHODS.items() if not method.forget_rules)),
    ),
}


def narrowed(
    study: Study,
    axes: dict[str, Any],
    settings: Iterable[str],
    allow_empty_classes: bool = False,
    probes: tuple[str, ...] = (),
) -> Study:
    """`study` with the given axes in place of its own and `section.field=value` settings in its protocol."""
    given: dict[str, Any] = {axis: tuple(values) for axis, values in axes.items() if values}
    words = [word for axis, values in given.items() for value in values for word in (AXES[axis], str(value))]
    study = replace(study, **given, axis_words=tuple(words))
    for setting in settings:
        dotted, equals, value = setting.partition("=")
        if not equals:
            raise InputError(f"a setting looks like training.epochs=5, not {shown(setting)}.")
        named = (*study.words, "--set", setting)
        study = replace(study, protocol=with_setting(study.protocol, dotted, value), words=named)
    for probe in probes:
        study = replace(study, probes=(*study.probes, probe), words=(*study.words, "--probe", probe))
    if allow_empty_classes:
        study = replace(study, allow_empty_classes=True, words=(*study.words, "--allow-empty-classes"))
    return study


def public_words(study: Study) -> tuple[str, ...]:
    """The study's `axis_words` without ids of the data, which a file of a run may not have."""
    options = ("", *study.axis_words)
    return tuple(
        parse_rule(word).public if option == AXES["forget_sets"] else word
        for option, word in zip(options, study.axis_words, strict=False)
    )


def with_setting(protocol: Protocol, dotted: str, value: Any, typed: bool = False) -> Protocol:
    """`protocol` with one setting changed; an architecture brings its recipe, which later settings change."""
    if dotted == ARCHITECTURE and isinstance(value, str):
        return with_architecture(protocol, value)
    return changed(protocol, dotted, value, typed=typed)


def checked(study: Study) -> Study:
    """`study` with each axis value once, and notes of what was merged, once every axis and the protocol are valid.

    Raises InputError naming what is not.
    """
    check_name("the study's name", study.name)
    check_name("the protocol's name", study.protocol.name)
    with_architecture(study.protocol, study.protocol.model.architecture)
    validated(study.protocol)
    for axis in AXES:
        if not getattr(study, axis):
            raise InputError(f"the study {study.name!r} has no {axis.replace('_', ' ')}; give at least one.")
    for augmentation in study.augmentations:
        if augmentation not in AUGMENTATIONS:
            raise unknown_choice("augmentation", augmentation, list(AUGMENTATIONS))
    for seed in study.seeds:
        if not 0 <= seed < 2**31:
            raise InputError(f"seed must be from 0 to {2**31 - 1}, not {shown(seed)}.")
    methods = tuple(canonical_method(method, study.protocol) for method in study.methods)
    forget_sets = tuple(parse_rule(text).written for text in study.forget_sets)
    question.checked(study.question)
    probes = tuple(dict.fromkeys(str(ChosenProbe.parse(text)) for text in study.probes))
    return with_notes(replace(study, methods=methods, forget_sets=forget_sets, probes=probes))


def canonical_method(text: str, protocol: Protocol) -> str:
    """The canonical text of a control or variant. Raises InputError for an unknown one or invalid settings."""
    if text in CONTROLS:
        return text
    variant = Variant.parse(text, also=CONTROLS)
    variant.resolved(protocol)
    return str(variant)


def with_notes(study: Study) -> Study:
    """`study` without repeated values, and with a note for each of those and for a missing retrain."""
    notes = list(study.notes)
    merged: dict[str, Any] = {}
    for axis in AXES:
        values = getattr(study, axis)
        merged[axis] = tuple(dict.fromkeys(values))
        name = axis.removesuffix("s").replace("_", " ")
        notes += [f"{name} {v} is given {n} times and counts once." for v in merged[axis] if (n := values.count(v)) > 1]
    if RETRAIN not in study.methods:
        notes.append("without the method retrain, the tables will have no target to compare with.")
    return replace(study, **merged, notes=tuple(notes))


def check_name(what: str, name: str) -> None:
    """Raise InputError unless `name` is a valid folder name on one line."""
    if not (0 < len(name) <= MAX_NAME and name.isprintable() and not set(name) & set("/\\") and name[0] not in ". "):
        raise InputError(
            f"{what} must be 1 to {MAX_NAME} printable characters without / and \\, and not begin with a dot or a "
            f"space, not {shown(name)}."
        )
