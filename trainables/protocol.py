"""The protocol: every number that decides a result, in one frozen dataclass.

The defaults are the protocol `paper`: the paper's values, and SalUn's official code where it is silent. They are
frozen, because a key leaves out what equals its default (grid/keys.py).
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from salun_grid.trainables.settings import setting

STEMS = ("3x3", "imagenet")
OPTIMIZERS = ("sgd", "adamw")
SCHEDULES = ("steps", "cosine")
PRECISIONS = ("fp32", "bf16", "auto")
MASK_MODES = ("leaky", "hard")
NON_MEMBERS = ("test", "val")
MEMBERS = ("first", "balanced")
PAPER, CODE = "the paper", "SalUn's code"


@dataclass(frozen=True)
class ModelConfig:
    """The network; weights, BatchNorm's statistics and logits are float32 always."""

    stem: str = setting("3x3", one_of=STEMS, doc="First layer: SalUn's, or torchvision's with max-pool.", source=CODE)
    width: int = setting(
        64, at_least=1, at_most=512, unit="channels", doc="Of the first stage; 64 is ResNet-18 proper.", source=PAPER
    )
    precision: str = setting(
        "fp32", one_of=PRECISIONS, doc="What the convolutions compute in; auto is bf16 where the device gains by it."
    )
    pixel_mean: float = setting(0.5, doc="Subtracted from pixels in [0, 1].", source="MedMNIST's examples")
    pixel_std: float = setting(0.5, above=0, doc="Divides them afterwards.", source="MedMNIST's examples")
    architecture: str = setting("resnet18", doc="One of `salun-grid architectures`.", source=PAPER)


@dataclass(frozen=True)
class TrainingConfig:
    """For the original and the retrain alike; the defaults are SGD with step decay."""

    epochs: int = setting(200, at_least=1, unit="passes over the train images", source=PAPER)
    batch_size: int = setting(256, at_least=2, unit="images", doc="Of a step, over all workers.", source=PAPER)
    learning_rate: float = setting(0.1, above=0, below=100, doc="Of the first epoch.", source=PAPER)
    momentum: float = setting(0.9, at_least=0, below=1, source=CODE)
    weight_decay: float = setting(5e-4, at_least=0, below=1, doc="On every parameter.", source=CODE)
    milestones: tuple[float, ...] = setting(
        (0.5, 0.75), above=0, below=1, rising=True, unit="fractions of epochs, rising", doc="When the rate decays."
    )
    decay_factor: float = setting(0.1, above=0, at_most=1, doc="Times the learning rate at each.", source=CODE)
    optimizer: str = setting("sgd", one_of=OPTIMIZERS, doc="AdamW has no momentum setting.", source=PAPER)
    schedule: str = setting(
        "steps", one_of=SCHEDULES, doc="Decay at the milestones, or to 0 along a cosine.", source=PAPER
    )
    warmup_epochs: int = setting(
        0, at_least=0, unit="epochs", doc="With a learning rate that rises linearly.", source=PAPER
    )


@dataclass(frozen=True)
class AugmentationConfig:
    """Strengths; which of them apply is the cell's `augmentation`."""

    crop_padding: float = setting(0.125, at_least=0, at_most=1, unit="fraction of the side", source=CODE)
    flip_probability: float = setting(0.5, at_least=0, at_most=1, source=CODE)
    randaugment_operations: int = setting(2, at_least=0, at_most=14, doc="N.", source="Cubuk et al. 2020")
    randaugment_magnitude: int = setting(9, at_least=0, at_most=30, doc="M.", source="Cubuk et al. 2020")


@dataclass(frozen=True)
class SaliencyConfig:
    """SalUn's mask, wherever a method has one."""

    fraction: float = setting(
        0.5, above=0, at_most=1, doc="Of all parameters, the top ones stay trainable.", source=PAPER
    )
    mode: str = setting(
        "leaky",
        one_of=MASK_MODES,
        doc="Whether weight decay still moves the others (leaky) or nothing does.",
        source=CODE,
    )


@dataclass(frozen=True)
class UnlearningConfig:
    """Given, these replace the default of every method that has a setting of the name; a variant's own counts more."""

    epochs: int | None = setting(None, at_least=1, unit="passes")
    batch_size: int | None = setting(None, at_least=2, unit="images")
    learning_rate: float | None = setting(None, above=0, below=100)
    momentum: float | None = setting(None, at_least=0, below=1)
    weight_decay: float | None = setting(None, at_least=0, below=1)


@dataclass(frozen=True)
class EvaluationConfig:
    """The membership inference attack: an RBF SVC on the true class's probability."""

    mia_svc_c: float = setting(3.0, above=0, doc="C of the SVC.", source=CODE)
    mia_non_members: str = setting(
        "test", one_of=NON_MEMBERS, doc="The split that stands for non-members.", source=CODE
    )
    mia_members: str = setting("first", one_of=MEMBERS, doc="The first of D_r, or drawn by class.", source=CODE)


@dataclass(frozen=True)
class Protocol:
    """One protocol. Validate with `validated` at the edge; everything behind the edge trusts it."""

    name: str = setting("paper", doc="For people; it changes no result.")
    image_size: int = setting(64, zero="the dataset's own", at_least=8, at_most=512, unit="pixels", source=PAPER)
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
        unlearning=UnlearningConfig(epochs=5, batch_size=64),
    ),
}


def to_json(config: Any) -> str:
    """A config dataclass as canonical JSON: sorted names, no spaces."""
    return json.dumps(asdict(config), sort_keys=True, separators=(",", ":"))
