"""The protocol: every number that determines a result, in one frozen dataclass.

The defaults are the protocol `paper`: the paper's values, and those of SalUn's official code where the paper is
silent. They must not change, because a key omits fields that equal their default (grid/keys.py).
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
    """The network. Weights, BatchNorm statistics and logits are always float32."""

    stem: str = setting("3x3", one_of=STEMS, doc="First layer: SalUn's, or torchvision's with max-pool.", source=CODE)
    width: int = setting(
        64, at_least=1, at_most=512, unit="channels", doc="Channels of the first stage; ResNet-18 has 64.", source=PAPER
    )
    precision: str = setting(
        "fp32", one_of=PRECISIONS, doc="Compute dtype of the convolutions; auto is bf16 if it is faster."
    )
    pixel_mean: float = setting(0.5, doc="Subtracted from pixels in [0, 1].", source="MedMNIST's examples")
    pixel_std: float = setting(0.5, above=0, doc="Divides the centred pixels.", source="MedMNIST's examples")
    architecture: str = setting("resnet18", doc="One of `salun-grid architectures`.", source=PAPER)


@dataclass(frozen=True)
class TrainingConfig:
    """Training of the original and the retrain; the defaults are SGD with step decay."""

    epochs: int = setting(200, at_least=1, unit="passes over the train images", source=PAPER)
    batch_size: int = setting(256, at_least=2, unit="images", doc="Global batch size, over all workers.", source=PAPER)
    learning_rate: float = setting(0.1, above=0, below=100, doc="Initial learning rate.", source=PAPER)
    momentum: float = setting(0.9, at_least=0, below=1, source=CODE)
    weight_decay: float = setting(5e-4, at_least=0, below=1, doc="Applied to every parameter.", source=CODE)
    milestones: tuple[float, ...] = setting(
        (0.5, 0.75),
        above=0,
        below=1,
        rising=True,
        unit="fractions of epochs, rising",
        doc="When the learning rate decays.",
    )
    decay_factor: float = setting(0.1, above=0, at_most=1, doc="Factor at each milestone.", source=CODE)
    optimizer: str = setting("sgd", one_of=OPTIMIZERS, doc="AdamW has no momentum setting.", source=PAPER)
    schedule: str = setting(
        "steps", one_of=SCHEDULES, doc="Step decay at the milestones, or cosine decay to 0.", source=PAPER
    )
    warmup_epochs: int = setting(
        0, at_least=0, unit="epochs", doc="Epochs of linear learning-rate warm-up.", source=PAPER
    )


@dataclass(frozen=True)
class AugmentationConfig:
    """Strengths of the augmentations; the cell's `augmentation` selects which apply."""

    crop_padding: float = setting(0.125, at_least=0, at_most=1, unit="fraction of the side", source=CODE)
    flip_probability: float = setting(0.5, at_least=0, at_most=1, source=CODE)
    randaugment_operations: int = setting(2, at_least=0, at_most=14, doc="RandAugment's N.", source="Cubuk et al. 2020")
    randaugment_magnitude: int = setting(9, at_least=0, at_most=30, doc="RandAugment's M.", source="Cubuk et al. 2020")


@dataclass(frozen=True)
class SaliencyConfig:
    """SalUn's saliency mask, for the methods that use one."""

    fraction: float = setting(
        0.5, above=0, at_most=1, doc="Fraction of all parameters that stays trainable.", source=PAPER
    )
    mode: str = setting(
        "leaky",
        one_of=MASK_MODES,
        doc="Whether weight decay still changes masked weights (leaky) or nothing does (hard).",
        source=CODE,
    )


@dataclass(frozen=True)
class UnlearningConfig:
    """Overrides of the default in every method that has the setting; a variant's own value takes precedence."""

    epochs: int | None = setting(None, at_least=1, unit="passes")
    batch_size: int | None = setting(None, at_least=2, unit="images")
    learning_rate: float | None = setting(None, above=0, below=100)
    momentum: float | None = setting(None, at_least=0, below=1)
    weight_decay: float | None = setting(None, at_least=0, below=1)


@dataclass(frozen=True)
class EvaluationConfig:
    """The membership inference attack: an RBF SVC on the probability of the true class."""

    mia_svc_c: float = setting(3.0, above=0, doc="C of the SVC.", source=CODE)
    mia_non_members: str = setting("test", one_of=NON_MEMBERS, doc="Split used as non-members.", source=CODE)
    mia_members: str = setting(
        "first", one_of=MEMBERS, doc="The first images of D_r, or a sample balanced by class.", source=CODE
    )


@dataclass(frozen=True)
class Protocol:
    """A complete protocol. `validated` checks user input once; all other code assumes valid values."""

    name: str = setting("paper", doc="A label; not part of any key.")
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
    # Minutes on a laptop: a narrow network with the ImageNet stem, a fifteenth of the arithmetic of the 3×3 stem.
    "demo": Protocol(
        name="demo",
        image_size=0,
        model=ModelConfig(width=16, stem="imagenet"),
        training=TrainingConfig(epochs=30, batch_size=64, learning_rate=0.05),
        unlearning=UnlearningConfig(epochs=5, batch_size=64),
    ),
    "digits": Protocol(
        name="digits",
        image_size=0,
        model=ModelConfig(width=16),
        training=TrainingConfig(epochs=30, batch_size=64, learning_rate=0.05),
        unlearning=UnlearningConfig(epochs=5, batch_size=64),
    ),
}


def to_json(config: Any) -> str:
    """A config dataclass as canonical JSON: sorted keys, no spaces."""
    return json.dumps(asdict(config), sort_keys=True, separators=(",", ":"))
