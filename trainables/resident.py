"""A dataset in device memory, and subsets of its train split."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from salun_grid.trainables import augmentation
from salun_grid.trainables.data import SPLITS, Dataset
from salun_grid.trainables.protocol import AugmentationConfig
from salun_grid.trainables.seeds import generator


@dataclass(frozen=True)
class ResidentData:
    """One dataset on one device: `images[split]` uint8 (N, H, W, C), `labels[split]` int64 (N,)."""

    images: dict[str, Tensor]
    labels: dict[str, Tensor]
    num_classes: int

    @classmethod
    def of(cls, dataset: Dataset, device: torch.device) -> "ResidentData":
        """Copy `dataset` to `device`; passes then only index it."""
        images = {split: torch.tensor(dataset.images[split], device=device) for split in SPLITS}
        labels = {split: torch.tensor(dataset.labels[split], device=device) for split in SPLITS}
        return cls(images, labels, dataset.info.num_classes)

    @property
    def device(self) -> torch.device:
        return self.labels["train"].device

    def forget_and_retain(self, forget: Tensor, retain: Tensor) -> tuple["Subset", "Subset"]:
        """D_f and D_r as subsets, from their train indices (int64, CPU)."""
        return self.subset("forget", forget), self.subset("retain", retain)

    def subset(self, name: str, indices: Tensor) -> "Subset":
        """The train images `indices` (int64, CPU) with their own labels."""
        return Subset(name, indices, self.labels["train"][indices.to(self.device)])


@dataclass(frozen=True)
class Subset:
    """Train images with target labels: `indices` int64 (N,) on the CPU, `labels` int64 (N,) on the device.

    `name` is the phase of its passes and part of the name of their random streams.
    """

    name: str
    indices: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.indices)

    def relabelled(self, labels: Tensor) -> "Subset":
        """The same images with other labels, int64 (N,)."""
        return replace(self, labels=labels.to(self.labels.device))

    def joined(self, other: "Subset", name: str) -> "Subset":
        """Both subsets as one."""
        return Subset(name, torch.cat([self.indices, other.indices]), torch.cat([self.labels, other.labels]))


@dataclass(frozen=True)
class Augmenter:
    """A cell's augmentation with its strengths and its seed."""

    name: str
    config: AugmentationConfig
    seed: int

    def draws(self, num_images: int, image_size: int, *purpose: object) -> augmentation.Draws | None:
        """The draws of one pass; its purpose, such as ("train", epoch), names the stream."""
        stream = generator(self.seed, "augmentation", *purpose)
        return augmentation.AUGMENTATIONS[self.name](num_images, image_size, self.config, stream)
