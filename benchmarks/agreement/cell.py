"""The small unlearning problem for both implementations: images, labels, a model and the batches of each pass."""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from salun_grid.trainables.architectures import build_model
from salun_grid.trainables.methods import METHODS, Unlearning, unlearn
from salun_grid.trainables.methods.base import TEACHERS
from salun_grid.trainables.methods.variants import Variant
from salun_grid.trainables.optimizers import sgd
from salun_grid.trainables.passes import Passes
from salun_grid.trainables.protocol import AugmentationConfig, ModelConfig, Protocol
from salun_grid.trainables.resident import Augmenter, ResidentData, Subset
from salun_grid.trainables.seeds import Seeds

NUM_CLASSES, NUM_VAL = 10, 20
# Gives an odd number of batches with a smaller last one, so that errors in means and schedules show.
BATCH = 16
Batches = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Cell:
    """An unlearning problem; `model` is the briefly trained original and must not change. Images are not augmented."""

    data: ResidentData
    forget: Subset
    retain: Subset
    model: nn.Module

    def job(self, variant: str) -> Unlearning[Any]:
        """The job of a variant such as `salun:epochs=2` on a copy of the model."""
        parsed = Variant.parse(variant)
        settings, _ = parsed.resolved(Protocol())
        model, seeds = deepcopy(self.model), Seeds.all(0)
        augmenter = Augmenter("none", AugmentationConfig(), seeds.augmentation)
        job = Unlearning(model, model, self.data, self.forget, self.retain, settings, augmenter, seeds)
        job.teachers = {name: TEACHERS[name](job) for name in METHODS[parsed.method].teachers}
        return job

    def unlearned(self, variant: str) -> nn.Module:
        """The model after our implementation of the variant."""
        parsed, job = Variant.parse(variant), self.job(variant)
        _, mask = parsed.resolved(Protocol())
        unlearn(METHODS[parsed.method], job, mask)
        return job.model

    def copy(self) -> nn.Module:
        """A copy of the original for the authors' code."""
        return deepcopy(self.model).train()


def make_cell(num_forget: int = 40, num_retain: int = 72, side: int = 12, width: int = 8) -> Cell:
    """Noisy images of one random pattern per class, and a ResNet-18 trained on them for a few steps."""
    random = torch.Generator().manual_seed(0)
    patterns = torch.rand(NUM_CLASSES, side, side, 3, generator=random)

    def split(count: int) -> tuple[Tensor, Tensor]:
        labels = torch.randint(0, NUM_CLASSES, (count,), generator=random)
        noise = torch.rand(count, side, side, 3, generator=random)
        return (255 * (patterns[labels] + noise) / 2).to(torch.uint8), labels

    splits = {"train": split(num_forget + num_retain), "val": split(NUM_VAL)}
    images = {name: part[0] for name, part in splits.items()}
    labels = {name: part[1] for name, part in splits.items()}
    data = ResidentData(images, labels, NUM_CLASSES)
    order = torch.randperm(num_forget + num_retain, generator=random)
    forget, retain = data.forget_and_retain(order[:num_forget].sort().values, order[num_forget:].sort().values)
    model: nn.Module = build_model(ModelConfig(width=width), NUM_CLASSES, 0)
    train_a_little(model, data, forget.joined(retain, "train"))
    return Cell(data, forget, retain, model.eval())


def train_a_little(model: nn.Module, data: ResidentData, subset: Subset) -> None:
    """Train enough to set BatchNorm's statistics and make predictions differ between images."""
    augmenter = Augmenter("none", AugmentationConfig(), 0)
    passes = Passes(model, sgd(model, 0.02, 0.9, 5e-4), data, augmenter, BATCH, 0)
    for epoch in range(3):
        passes.over(subset, epoch)


# --- the same batches on both sides --------------------------------------------------------------------------


class Prepared:
    """A stand-in for a DataLoader: each iteration yields the next prepared pass, cyclically."""

    def __init__(self, passes: list[Batches], dataset: Any = None) -> None:
        self.passes, self.dataset, self.begun = passes, dataset, 0

    def __len__(self) -> int:
        return len(self.passes[0])

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        batches = self.passes[self.begun % len(self.passes)]
        self.begun += 1
        return iter(batches)


class Images(torch.utils.data.Dataset):
    """A dataset of a subset's images, float in [0, 1], and labels, in order."""

    def __init__(self, cell: Cell, subset: Subset) -> None:
        self.images = pixels(cell.data.images["train"][subset.indices].permute(0, 3, 1, 2))
        self.targets = subset.labels

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.images[index], self.targets[index]


def pixels(images: Tensor) -> Tensor:
    """uint8 images as float in [0, 1]."""
    return images / 255


def passes_of(job: Unlearning[Any]) -> Passes:
    """The engine of a job, used only to draw batches."""
    return job.passes(torch.optim.SGD(job.model.parameters(), lr=0.0))


def batches_of(job: Unlearning[Any], subset: Subset, epoch: int, *purpose: object) -> Batches:
    """Images, float in [0, 1], and labels of one pass of our engine over a subset."""
    drawn = passes_of(job).batches(subset, epoch, *purpose)
    return [(pixels(batch.images), batch.labels) for _, batch in drawn]


def prepared(job: Unlearning[Any], subset: Subset, epochs: Iterable[int]) -> Prepared:
    """The batches of several epochs over one subset."""
    return Prepared([batches_of(job, subset, epoch) for epoch in epochs])


def in_order(cell: Cell, subset: Subset, size: int) -> Prepared:
    """One pass in the order of the subset, repeated, for gradients."""
    images = Images(cell, subset)
    return Prepared([list(zip(images.images.split(size), images.targets.split(size), strict=True))], images)
