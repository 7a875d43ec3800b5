"""Specs: frozen descriptions of one piece of work each, which are their own identity.

A spec holds everything that decides its result, and its key is the hash of that (grid/keys.py). It knows what it
needs, how much work it is and its label; `grid.jobs.RUNNERS` has its runner. Nothing else decides what a job is.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

from salun_grid.analysis.forget import forget_name
from salun_grid.grid.keys import key_of
from salun_grid.grid.work import Kind, Work, attack_pairs
from salun_grid.trainables.architectures import count_macs
from salun_grid.trainables.data import DatasetInfo
from salun_grid.trainables.forget import ForgetSet
from salun_grid.trainables.methods import METHODS, PassCount, Settings
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
# What a study compares its methods with: the target, the noise floor and the no-op.
CONTROLS = (RETRAIN, RETRAIN_AGAIN, ORIGINAL)


class Described:
    """What every spec has: `data`, `augmentation`, `seed`, `method` and `forget` name its cell."""

    makes: ClassVar[str]  # `model`, `row` or `measures`: what is published under its key
    distributed: ClassVar[bool] = False  # whether several workers may share it

    @cached_property
    def key(self) -> str:
        return key_of(self)

    @cached_property
    def label(self) -> str:
        """A short name for a person: what it is, forget set, dataset, augmentation, seed."""
        spec: Spec = self  # type: ignore[assignment]
        rule = "" if spec.forget is None else f" {forget_name(spec.forget.label)}"
        source = spec.data.source.rsplit("/", 1)[-1]
        return f"{spec.verb}{spec.name}{rule} · {source} · {spec.augmentation} · seed {spec.seed}"

    verb: ClassVar[str] = ""


@dataclass(frozen=True)
class Train(Described):
    """Train a model from scratch on D_i, or on D_r where there is something to forget.

    `again` draws initialisation, order and augmentation anew and keeps the forget set: its gap to the first training
    is the noise floor. `strengths` count only where there is an augmentation.
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
        """The method as a study writes it."""
        return self.method

    @property
    def seeds(self) -> Seeds:
        """The seed of each stream."""
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
    """Turn an original into an unlearned model by one method with its settings."""

    original: Train
    forget: ForgetSet
    method: str
    settings: Settings
    mask: SaliencyConfig | None
    seed: int
    version: int | str = 1
    variant: str = field(default="", compare=False)  # as the study wrote it; decides nothing

    makes: ClassVar[str] = "model"

    @property
    def name(self) -> str:
        """The method as a study writes it, with its settings."""
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
        """The seed of each stream."""
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
    """What is done with a published model, its `subject`."""

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
        """The method as a study writes it, with its settings."""
        return self.subject.name

    @property
    def needs(self) -> tuple["Spec", ...]:
        return (self.subject,)

    @property
    def original(self) -> Train:
        """The training on all of D_i that belongs to the cell."""
        subject = self.subject
        return subject.original if isinstance(subject, Unlearn) else replace(subject, forget=None, again=False)


@dataclass(frozen=True)
class Evaluate(OfModel):
    """Predict every image with a model, attack it, and publish its row. The original itself is the no-op."""

    subject: Train | Unlearn
    forget: ForgetSet
    evaluation: EvaluationConfig

    makes: ClassVar[str] = "row"
    verb: ClassVar[str] = "evaluation of "
    num_epochs: ClassVar[int] = 0

    @property
    def retrain(self) -> "Evaluate":
        """The evaluation of the cell's retrain, to which this one is compared."""
        return Evaluate(replace(self.original, forget=self.forget), self.forget, self.evaluation)

    @cached_property
    def work(self) -> Work:
        num_images = self.data.num_images
        pairs = attack_pairs(self.forget.count(self.data), num_images, self.evaluation.mia_non_members)
        return device_work(self, 1, eval_images=sum(num_images.values()), attack_pairs=pairs)


@dataclass(frozen=True)
class Probe(OfModel):
    """Measure what takes the model of a cell itself, and publish it as rows of `measures`."""

    subject: Train | Unlearn
    forget: ForgetSet
    probe: str
    settings: Settings
    version: int | str = 1
    variant: str = field(default="", compare=False)  # as the study wrote it; decides nothing

    makes: ClassVar[str] = "measures"

    @property
    def verb(self) -> str:  # type: ignore[override]
        return f"{self.variant or self.probe} of "

    @property
    def num_epochs(self) -> int:
        return getattr(self.settings, "epochs", 1)

    @property
    def seeds(self) -> Seeds:
        """The seed of each stream."""
        return self.subject.seeds

    @cached_property
    def work(self) -> Work:
        num_forget = self.forget.count(self.data)
        passed = images_passed(PROBES[self.probe].passes(self.settings), num_forget, self.data)
        return device_work(self, getattr(self.settings, "batch_size", 1), **passed)


Spec = Train | Unlearn | Evaluate | Probe


def images_passed(passes: PassCount, num_forget: int, data: DatasetInfo) -> dict[str, int]:
    """The amounts of a `Work` that `passes` over the images of `data` come to."""
    num_retain = data.num_images["train"] - num_forget
    forward = passes.forward_images(num_forget, num_retain, data.num_images["val"])
    return {"train_images": passes.images(num_forget, num_retain), "forward_images": forward}


def device_work(spec: Spec, batch_size: int, **amounts: float) -> Work:
    """`amounts` of the model and the images of `spec`."""
    model, data = spec.model, spec.data
    return Work(
        kind=Kind.of(model),
        gmac=count_macs(model, data.num_classes, data.image_size) / 1e9,
        image_size=data.image_size,
        width=model.width,
        augmentation=spec.augmentation,
        batch_size=batch_size,
        **amounts,  # type: ignore[arg-type]
    )


def closure(specs: Iterable[Spec], done: set[str] | frozenset[str] = frozenset()) -> dict[str, Spec]:
    """`specs` and all that they need, by key, each after its needs; without what is `done` or needed by that alone."""
    found: dict[str, Spec] = {}

    def visit(spec: Spec) -> None:
        if spec.key in found or spec.key in done:
            return
        for need in spec.needs:
            visit(need)
        found[spec.key] = spec

    for spec in specs:
        visit(spec)
    return found
