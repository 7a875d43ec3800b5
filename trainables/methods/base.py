"""The interface of an unlearning method: its settings, its pass count, the job that it gets, and its teachers."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import nn

from salun_grid.trainables.architectures import build_model
from salun_grid.trainables.optimizers import Mask, apply_mask, sgd
from salun_grid.trainables.passes import OnEpoch, Passes
from salun_grid.trainables.resident import Augmenter, ResidentData, Subset
from salun_grid.trainables.seeds import Seeds, derived_seed, generator
from salun_grid.trainables.settings import setting


@dataclass(frozen=True)
class Settings:
    """Base class of the settings of a method; each method has its own frozen subclass.

    `gentler` says which setting, lowered or raised, lets the method change the model less.
    """

    gentler: ClassVar[tuple[str, str]] = ("lower", "learning_rate")

    @property
    def advice(self) -> str:
        """What to change where the model diverged or collapsed: `lower learning_rate, now 0.013`."""
        verb, name = self.gentler
        return f"{verb} {name}, now {getattr(self, name):g}"


@dataclass(frozen=True)
class Iterative(Settings):
    """Settings of SGD at a constant learning rate. The defaults are SalUn's; a method redeclares those that differ."""

    epochs: int = setting(10, at_least=1, unit="passes", source="the paper")
    batch_size: int = setting(256, at_least=2, unit="images", source="the paper")
    learning_rate: float = setting(0.013, above=0, below=100, source="the paper")
    momentum: float = setting(0.9, at_least=0, below=1, source="SalUn's code")
    weight_decay: float = setting(5e-4, at_least=0, below=1, source="SalUn's code")


S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class PassCount:
    """Number of passes over D_f and D_r: used for progress and cost, and to tell whether a method needs D_r at all.

    A pass is forward and backward; a forward-only pass counts as a third. `paired` counts the passes over D_r whose
    batches are paired with as many images of D_f. `drawn` is a number of images of D_r that is independent of its
    size, and `other` a number of images from neither set, such as learned noise. The fields `forward_…` are
    forward-only passes that no epoch reports, such as a teacher's, over D_f, D_r and the validation images: they
    cost time and do not count as images seen.
    """

    forget: float = 0.0
    retain: float = 0.0
    paired: float = 0.0
    drawn: int = 0
    other: int = 0
    forward_forget: float = 0.0
    forward_retain: float = 0.0
    forward_validation: float = 0.0

    def images(self, num_forget: int, num_retain: int) -> int:
        passed = round(self.forget * num_forget + (self.retain + self.paired) * num_retain)
        return passed + min(self.drawn, num_retain) + self.other

    def forward_images(self, num_forget: int, num_retain: int, num_validation: int) -> int:
        """Images that pass forward alone, through the model or a teacher, and that `images` leaves out."""
        of_train = self.forward_forget * num_forget + self.forward_retain * num_retain
        return round(of_train + self.forward_validation * num_validation)


@dataclass(frozen=True)
class Method:
    """An entry of METHODS. `unlearn` changes the model of its job in place; `passes` maps the settings to a PassCount.

    `teachers` are the other models that it needs, by name in TEACHERS. `masked` is whether SalUn's mask is on by
    default; `takes_mask` is False for a method that changes weights outside optimizer steps, where a mask has no
    effect. `forget_rules` are the rules that it supports; empty means all. `version` is part of the key: raise it when
    the code gives a different result. Without a version, the key contains a hash of the module's source.
    """

    unlearn: Callable[["Unlearning[Any]"], None]
    settings: type[Settings]
    passes: Callable[[Any], PassCount]
    idea: str
    paper: str
    masked: bool = False
    takes_mask: bool = True
    teachers: tuple[str, ...] = ()
    forget_rules: tuple[str, ...] = ()
    version: int | None = None


@dataclass
class Unlearning(Generic[S]):
    """What a method works with: `model` is the original, changed in place; D_f and D_r are `forget` and `retain`.

    `forward` runs the training batches: the model itself or its compiled form. `mask` selects the weights that may
    change; None selects all. `on_epoch` is called after each pass.
    """

    model: nn.Module
    forward: nn.Module
    data: ResidentData
    forget: Subset
    retain: Subset
    settings: S
    augmenter: Augmenter
    seeds: Seeds
    on_epoch: OnEpoch = lambda epoch: None
    mask: Mask | None = None
    mask_mode: str = "leaky"
    teachers: Mapping[str, nn.Module] = field(default_factory=dict)

    def sgd(self) -> torch.optim.SGD:
        """SGD over every weight, with the settings `learning_rate`, `momentum` and `weight_decay`."""
        s: Any = self.settings
        return sgd(self.model, s.learning_rate, s.momentum, s.weight_decay)

    def passes(self, optimizer: torch.optim.Optimizer) -> Passes:
        """The engine around `optimizer`, any of `torch.optim` over the model's parameters, with the mask applied."""
        if self.mask is not None:
            apply_mask(optimizer, self.mask, self.mask_mode)
        s: Any = self.settings
        order_seed = self.seeds.unlearning
        return Passes(
            self.forward,
            optimizer,
            self.data,
            self.augmenter,
            s.batch_size,
            order_seed,
            self.on_epoch,
            advice=s.advice,
        )

    def some_of_retain(self, fraction: float, purpose: str) -> Subset:
        """A uniform sample of D_r, at least one image, as a subset of the same name."""
        order = torch.randperm(len(self.retain), generator=self.generator(purpose, "retain"))
        kept = order[: max(1, round(fraction * len(order)))].sort().values
        return self.data.subset(self.retain.name, self.retain.indices[kept])

    def generator(self, *purpose: object) -> torch.Generator:
        """An independent random stream for (the job's unlearning seed, purpose)."""
        return generator(self.seeds.unlearning, *purpose)


def original_teacher(job: Unlearning[Any]) -> nn.Module:
    """A copy of the original, in eval mode and frozen."""
    return frozen(deepcopy(job.model))


def random_teacher(job: Unlearning[Any]) -> nn.Module:
    """A freshly initialised network of the same configuration, in eval mode and frozen."""
    model: Any = job.model
    seed = derived_seed(job.seeds.unlearning, "random teacher")
    return frozen(build_model(model.config, job.data.num_classes, seed).to(job.data.device))


def frozen(model: nn.Module) -> nn.Module:
    return model.eval().requires_grad_(False)


# Builders of the models that a method may request; called before the method starts.
TEACHERS: dict[str, Callable[[Unlearning[Any]], nn.Module]] = {"original": original_teacher, "random": random_teacher}
