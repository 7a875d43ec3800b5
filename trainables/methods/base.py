"""What an unlearning method is, and what it works with."""

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
    """The settings of a method; each has its own frozen subclass.

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
    """SGD with a constant learning rate; the defaults are SalUn's, and a method declares those that differ."""

    epochs: int = setting(10, at_least=1, unit="passes", source="the paper")
    batch_size: int = setting(256, at_least=2, unit="images", source="the paper")
    learning_rate: float = setting(0.013, above=0, below=100, source="the paper")
    momentum: float = setting(0.9, at_least=0, below=1, source="SalUn's code")
    weight_decay: float = setting(5e-4, at_least=0, below=1, source="SalUn's code")


S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class PassCount:
    """How often a method passes over D_f and D_r: for progress, cost, and whether it needs D_r at all.

    A pass is forward and backward; a reported pass forward alone counts a third. `paired` are the passes over D_r in
    which as many images of D_f go along; `drawn` is a number of images of D_r that does not grow with it, `other` one
    of images that are of neither, such as learned noise. The fields `forward_…` are passes forward alone that no epoch
    reports, such as a teacher's, over D_f, D_r and the validation images; they cost time and are no images seen.
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
    """`unlearn` changes the model of its job in place; `passes` counts, from the settings, what that takes.

    `teachers` are the other models that it needs, by name in TEACHERS. `masked` says whether SalUn's mask is on
    unless a variant says otherwise; `takes_mask` is False for a method that changes weights outside the steps of an
    optimizer, where a mask has no hold. `forget_rules` are the rules whose sets it can forget; empty is any. `version`
    is part of the key: raise it when the code gives another result; without one, the key has a hash of the module's
    source.
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
    """One unlearning: `model` is the original, to be changed in place; D_f and D_r are `forget` and `retain`.

    `forward` is what training batches go through: the model itself, or the same compiled. `mask` chooses the weights
    that may move; None is all of them. `on_epoch` hears of each pass.
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
        """SGD over every weight, as the settings `learning_rate`, `momentum` and `weight_decay` say."""
        s: Any = self.settings
        return sgd(self.model, s.learning_rate, s.momentum, s.weight_decay)

    def passes(self, optimizer: torch.optim.Optimizer) -> Passes:
        """The engine around `optimizer`: any of `torch.optim`, over the model's parameters, and under the mask."""
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
        """A uniform part of D_r, one image at least, as a subset of the same name."""
        order = torch.randperm(len(self.retain), generator=self.generator(purpose, "retain"))
        kept = order[: max(1, round(fraction * len(order)))].sort().values
        return self.data.subset(self.retain.name, self.retain.indices[kept])

    def generator(self, *purpose: object) -> torch.Generator:
        """A random stream of its own for (the job's unlearning seed, purpose)."""
        return generator(self.seeds.unlearning, *purpose)


def original_teacher(job: Unlearning[Any]) -> nn.Module:
    """The original as it was before the unlearning, in eval mode, frozen."""
    return frozen(deepcopy(job.model))


def random_teacher(job: Unlearning[Any]) -> nn.Module:
    """A freshly initialised network of the same form, in eval mode, frozen."""
    model: Any = job.model
    seed = derived_seed(job.seeds.unlearning, "random teacher")
    return frozen(build_model(model.config, job.data.num_classes, seed).to(job.data.device))


def frozen(model: nn.Module) -> nn.Module:
    return model.eval().requires_grad_(False)


# Each makes, before the method starts, one of the models that a method may ask for.
TEACHERS: dict[str, Callable[[Unlearning[Any]], nn.Module]] = {"original": original_teacher, "random": random_teacher}
