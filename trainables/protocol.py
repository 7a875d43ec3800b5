"""The protocol: every number that decides a result, in one frozen dataclass.

The sections follow the stages, because a stage's key hashes only the sections that it reads.
The defaults are the protocol `paper`: the paper's values, and SalUn's official code where it is silent.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from math import inf, isfinite
from operator import attrgetter
from typing import Any, get_type_hints

from trainables.errors import InputError, unknown_choice

STEMS = ("3x3", "imagenet")
PRECISIONS = ("fp32", "bf16", "auto")
ORDERS = ("split", "mixed")
MASK_MODES = ("leaky", "hard")
NON_MEMBERS = ("test", "val")
MEMBERS = ("first", "balanced")


@dataclass(frozen=True)
class ModelConfig:
    """ResNet-18. `width` is the channels of the first stage: 64 is ResNet-18 proper, less is for demos.

    `precision` is what the convolutions compute in, `auto` bf16 where the device has such arithmetic; weights,
    BatchNorm's statistics and logits are float32 always.
    """

    stem: str = "3x3"
    width: int = 64
    precision: str = "fp32"
    pixel_mean: float = 0.5
    pixel_std: float = 0.5


@dataclass(frozen=True)
class TrainingConfig:
    """SGD with step decay, for the original and the retrain alike. `milestones` are fractions of `epochs`."""

    epochs: int = 200
    batch_size: int = 256
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    milestones: tuple[float, ...] = (0.5, 0.75)
    decay_factor: float = 0.1


@dataclass(frozen=True)
class AugmentationConfig:
    """Strengths; which of them apply is the cell's `augmentation`. Padding is a fraction of the side."""

    crop_padding: float = 0.125
    flip_probability: float = 0.5
    randaugment_operations: int = 2
    randaugment_magnitude: int = 9


@dataclass(frozen=True)
class SaliencyConfig:
    """The mask: the top `fraction` of all parameters stay trainable; `mode` says how the others stay put."""

    fraction: float = 0.5
    mode: str = "leaky"


@dataclass(frozen=True)
class UnlearningConfig:
    """SGD with a constant learning rate, for every approximate method.

    `order`: each epoch passes over D_f, then D_r (`split`), or once over both, shuffled together (`mixed`).
    """

    epochs: int = 10
    batch_size: int = 256
    learning_rate: float = 0.013
    momentum: float = 0.9
    weight_decay: float = 5e-4
    order: str = "split"


@dataclass(frozen=True)
class EvaluationConfig:
    """The membership attack: an RBF SVC on the true class's probability; who stands for non-members."""

    mia_svc_c: float = 3.0
    mia_non_members: str = "test"
    mia_members: str = "first"


@dataclass(frozen=True)
class Protocol:
    """One protocol. Validate with `validated` at the edge; everything behind the edge trusts it.

    `image_size` is the side in pixels; 0 keeps each dataset's own size.
    """

    name: str = "paper"
    image_size: int = 64
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    saliency: SaliencyConfig = field(default_factory=SaliencyConfig)
    unlearning: UnlearningConfig = field(default_factory=UnlearningConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)


PROTOCOLS: dict[str, Protocol] = {
    "paper": Protocol(),
    "strict": Protocol(
        name="strict",
        saliency=SaliencyConfig(mode="hard"),
        evaluation=EvaluationConfig(mia_non_members="val", mia_members="balanced"),
    ),
    "demo": Protocol(
        name="demo",
        image_size=0,
        model=ModelConfig(width=16),
        training=TrainingConfig(epochs=30, batch_size=64, learning_rate=0.05),
        unlearning=UnlearningConfig(epochs=5, batch_size=64, learning_rate=0.0065),
    ),
}


def to_json(config: Any) -> str:
    """A config dataclass as canonical JSON: sorted names, no spaces."""
    return json.dumps(asdict(config), sort_keys=True, separators=(",", ":"))


def changed(protocol: Protocol, dotted: str, value: Any) -> Protocol:
    """`protocol` with one field, named like `training.epochs`, set to `value` (text is converted).

    Raises InputError naming the field when it does not exist or the value does not fit it.
    """
    *sections, name = dotted.split(".")
    owner: Any = protocol
    if sections:
        owner = getattr(protocol, sections[0], None) if len(sections) == 1 else None
        if not is_dataclass(owner):
            raise unknown_choice("protocol field", dotted, field_names())
    if name not in {f.name for f in fields(owner)} or is_dataclass(getattr(owner, name)):
        raise unknown_choice("protocol field", dotted, field_names())
    new = replace(owner, **{name: _converted(dotted, value, get_type_hints(type(owner))[name])})
    return replace(protocol, **{sections[0]: new}) if sections else new


def field_names() -> list[str]:
    """Every field of a protocol, dotted, in order."""
    names: list[str] = []
    for f in fields(Protocol):
        section = getattr(PROTOCOLS["paper"], f.name)
        names += [f"{f.name}.{g.name}" for g in fields(section)] if is_dataclass(section) else [f.name]
    return names


def _converted(dotted: str, value: Any, kind: Any) -> Any:
    try:
        if kind is int:
            return _whole(value)
        if kind in (float, str):
            return kind(value)
        parts = value.split(",") if isinstance(value, str) else value
        return tuple(float(part) for part in parts)
    except (TypeError, ValueError, OverflowError):
        wanted = {int: "a whole number", float: "a number"}.get(kind, "numbers with commas between")
        raise InputError(f"{dotted} must be {wanted}, not {value!r}.") from None


def _whole(value: Any) -> int:
    if isinstance(value, bool) or int(value) != float(value):
        raise ValueError
    return int(value)


Rule = tuple[Callable[[Any], bool], str]


def _one_of(choices: tuple[str, ...]) -> Rule:
    return choices.__contains__, f"one of {', '.join(choices)}"


def _between(low: float, high: float, unit: str = "") -> Rule:
    return lambda value: low <= value <= high, f"from {low:g} to {high:g}{unit}"


def _above_zero(limit: float = inf) -> Rule:
    return lambda value: 0 < value <= limit and value < inf, "above 0" + (f", at most {limit:g}" if limit < inf else "")


_LOOP_RULES: dict[str, Rule] = {
    "epochs": (lambda epochs: epochs >= 1, "at least 1"),
    "batch_size": (lambda images: images >= 2, "at least 2 images"),
    "learning_rate": (lambda rate: 0 < rate < 100, "above 0, below 100"),
    "momentum": (lambda momentum: 0 <= momentum < 1, "from 0 up to 1"),
    "weight_decay": (lambda decay: 0 <= decay < 1, "from 0 up to 1"),
}

# What each field may be, and how to say it.
RULES: dict[str, Rule] = {
    "image_size": (lambda side: side == 0 or 8 <= side <= 512, "0 (the dataset's own) or from 8 to 512 pixels"),
    "model.stem": _one_of(STEMS),
    "model.width": _between(1, 512, " channels"),
    "model.precision": _one_of(PRECISIONS),
    "model.pixel_mean": (isfinite, "a finite number"),
    "model.pixel_std": _above_zero(),
    **{f"training.{name}": rule for name, rule in _LOOP_RULES.items()},
    "training.milestones": (
        lambda fractions: all(0 < m < 1 for m in fractions) and list(fractions) == sorted(fractions),
        "rising fractions between 0 and 1",
    ),
    "training.decay_factor": _above_zero(1),
    "augmentation.crop_padding": _between(0, 1),
    "augmentation.flip_probability": _between(0, 1),
    "augmentation.randaugment_operations": _between(0, 14),
    "augmentation.randaugment_magnitude": _between(0, 30),
    "saliency.fraction": _above_zero(1),
    "saliency.mode": _one_of(MASK_MODES),
    **{f"unlearning.{name}": rule for name, rule in _LOOP_RULES.items()},
    "unlearning.order": _one_of(ORDERS),
    "evaluation.mia_svc_c": _above_zero(),
    "evaluation.mia_non_members": _one_of(NON_MEMBERS),
    "evaluation.mia_members": _one_of(MEMBERS),
}


def validated(protocol: Protocol) -> Protocol:
    """`protocol` itself, once every field is in range.

    Raises InputError with the field's dotted name, the value given and the range.
    """
    for name, (fits, allowed) in RULES.items():
        value = attrgetter(name)(protocol)
        if not fits(value):
            raise InputError(f"{name} must be {allowed}, not {value!r}.")
    return protocol
