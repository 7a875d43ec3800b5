"""Specs: frozen descriptions of one job each.

A spec contains everything that determines its result; its key is a hash of its content (grid/keys.py). It also
provides its dependencies, its amount of work and its label. `grid.jobs.RUNNERS` maps its type to a runner.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

from salun_grid.grid.keys import key_of
from salun_grid.grid.work import Work, attack_pairs, device_work, images_passed
from salun_grid.records.forget_label import forget_name
from salun_grid.trainables.data import DatasetInfo
from salun_grid.trainables.forget import ForgetSet
from salun_grid.trainables.methods import METHODS, Settings
from salun_grid.trainables.probes import PROBES
from salun_grid.trainables.protocol import (
    AugmentationConfig,
    EvaluationConfig,
    ModelConfig,
    SaliencyConfig,
    TrainingConfig,
)
from salun_grid.trainables.seeds import Seeds

ORIGINAL, RETRAIN, RETRAIN_AGAIN = "original", "retrain", "retrain-again"
# What the methods of a study are compared with: the target, the noise floor and the no-op.
CONTROLS = (RETRAIN, RETRAIN_AGAIN, ORIGINAL)


class Described:
    """Base class of specs. `data`, `augmentation`, `seed`, `method` and `forget` identify the cell."""

    makes: ClassVar[str]  # `model`, `row` or `measures`: what is published under its key
    distributed: ClassVar[bool] = False  # whether it may run data-parallel

    @cached_property
    def key(self) -> str:
        return key_of(self)

    @cached_property
    def label(self) -> str:
        """A short human-readable name: method, forget set, dataset, augmentation, seed."""
        spec: Spec = self  # type: ignore[assignment]
        rule = "" if spec.forget is None else f" {forget_name(spec.forget.label)}"
        source = spec.data.source.rsplit("/", 1)[-1]
        return f"{spec.verb}{spec.name}{rule} · {source} · {spec.augmentation} · seed {spec.seed}"

    verb: ClassVar[str] = ""


@dataclass(frozen=True)
class Train(Described):
    """Train a model from scratch: on D_i, or on D_r if there is a forget set.

    `again` uses other seeds for initialisation, order and augmentation and the same forget set: its gap to the first
    training is the noise floor. `strengths` is None without augmentation.
    """

    data: DatasetInfo
    model: ModelConfig
    training: TrainingConfig
    augmentation: str
    strengths: AugmentationConfig | None
    seed: int
    forget: ForgetSet | None = None
    again: bool = False

    makes: ClassVar[str] = "model"
    distributed: ClassVar[bool] = True

    @property
    def method(self) -> str:
        if self.forget is None:
            return ORIGINAL
        return RETRAIN_AGAIN if self.again else RETRAIN

    @property
    def name(self) -> str:
        """The method as the study names it."""
        return self.method

    @property
    def seeds(self) -> Seeds:
        """The seeds of the random streams."""
        seeds = Seeds.all(self.seed)
        return seeds.again() if self.again else seeds

    @property
    def advice(self) -> str:
        """What to change where the model diverged."""
        return f"lower training.learning_rate, now {self.training.learning_rate:g}"

    @property
    def needs(self) -> tuple["Spec", ...]:
        return ()

    @property
    def num_epochs(self) -> int:
        return self.training.epochs

    @cached_property
    def work(self) -> Work:
        num_train = self.data.num_images["train"] - (self.forget.count(self.data) if self.forget else 0)
        return device_work(self, self.training.batch_size, train_images=self.training.epochs * num_train)


@dataclass(frozen=True)
class Unlearn(Described):
    """Unlearn a forget set from an original with one method and its settings."""

    original: Train
    forget: ForgetSet
    method: str
    settings: Settings
    mask: SaliencyConfig | None
    seed: int
    version: int | str = 1
    variant: str = field(default="", compare=False)  # as the study names it; not part of the key

    makes: ClassVar[str] = "model"

    @property
    def name(self) -> str:
        """The method as the study names it, with its settings."""
        return self.variant or self.method

    @property
    def data(self) -> DatasetInfo:
        return self.original.data

    @property
    def model(self) -> ModelConfig:
        return self.original.model

    @property
    def augmentation(self) -> str:
        return self.original.augmentation

    @property
    def seeds(self) -> Seeds:
        """The seeds of the random streams."""
        return replace(self.original.seeds, unlearning=self.seed)

    @property
    def advice(self) -> str:
        """What to change where the model diverged or collapsed: a setting of the method."""
        return self.settings.advice

    @property
    def needs(self) -> tuple["Spec", ...]:
        return (self.original,)

    @property
    def num_epochs(self) -> int:
        return getattr(self.settings, "epochs", 1)

    @cached_property
    def work(self) -> Work:
        num_forget = self.forget.count(self.data)
        passed = images_passed(METHODS[self.method].passes(self.settings), num_forget, self.data)
        passed["train_images"] += num_forget if self.mask else 0
        return device_work(self, getattr(self.settings, "batch_size", 1), **passed)


class OfModel(Described):
    """Base class of the specs that read a published model, the `subject`."""

    subject: Train | Unlearn

    @property
    def data(self) -> DatasetInfo:
        return self.subject.data

    @property
    def model(self) -> ModelConfig:
        return self.subject.model

    @property
    def augmentation(self) -> str:
        return self.subject.augmentation

    @property
    def seed(self) -> int:
        return self.subject.seed

    @property
    def method(self) -> str:
        return self.subject.method

    @property
    def name(self) -> str:
        """The method as the study names it, with its settings."""
        return self.subject.name

    @property
    def needs(self) -> tuple["Spec", ...]:
        return (self.subject,)

    @property
    def original(self) -> Train:
        """The cell's training on all of D_i."""
        subject = self.subject
        return subject.original if isinstance(subject, Unlearn) else replace(subject, forget=None, again=False)


@dataclass(frozen=True)
class Evaluate(OfModel):
    """Predict every image with a model, attack it, and publish the row. Evaluating the original gives the no-op."""

    subject: Train | Unlearn
    forget: ForgetSet
    evaluation: EvaluationConfig

    makes: ClassVar[str] = "row"
    verb: ClassVar[str] = "evaluation of "
    num_epochs: ClassVar[int] = 0

    @property
    def retrain(self) -> "Evaluate":
        """The evaluation of the cell's retrain, the target of this evaluation."""
        return Evaluate(replace(self.original, forget=self.forget), self.forget, self.evaluation)

    @cached_property
    def work(self) -> Work:
        num_images = self.data.num_images
        pairs = attack_pairs(self.forget.count(self.data), num_images, self.evaluation.mia_non_members)
        return device_work(self, 1, eval_images=sum(num_images.values()), attack_pairs=pairs)


@dataclass(frozen=True)
class Probe(OfModel):
    """Run a metric that needs the model itself, and publish its values as rows of `measures`."""

    subject: Train | Unlearn
    forget: ForgetSet
    probe: str
    settings: Settings
    version: int | str = 1
    variant: str = field(default="", compare=False)  # as the study names it; not part of the key

    makes: ClassVar[str] = "measures"

    @property
    def verb(self) -> str:  # type: ignore[override]
        return f"{self.variant or self.probe} of "

    @property
    def num_epochs(self) -> int:
        return getattr(self.settings, "epochs", 1)

    @property
    def seeds(self) -> Seeds:
        """The seeds of the random streams."""
        return self.subject.seeds

    @cached_property
    def work(self) -> Work:
        num_forget = self.forget.count(self.data)
        passed = images_passed(PROBES[self.probe].passes(self.settings), num_forget, self.data)
        return device_work(self, getattr(self.settings, "batch_size", 1), **passed)


Spec = Train | Unlearn | Evaluate | Probe
