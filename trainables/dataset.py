"""A dataset: its metadata, its train split as forget rules see it, and its pixels."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from salun_grid.records.npz_names import Names


@dataclass(frozen=True)
class DatasetInfo:
    """Metadata of a dataset. `fingerprint` changes with any pixel, label, id or group.

    `class_counts` is the number of train images per class, empty if no labels were read (MedMNIST before a download).
    `class_names` has a name for each class, or is empty.
    """

    name: str
    source: str
    fingerprint: str
    num_classes: int
    image_size: int
    num_channels: int
    num_images: dict[str, int]
    class_counts: tuple[int, ...] = ()
    class_names: tuple[str, ...] = ()

    @property
    def identity(self) -> list[Any]:
        """The part of a job's key that determines its images."""
        return [self.fingerprint, self.image_size]


@dataclass(frozen=True)
class TrainImages:
    """What a forget rule selects from: train `labels` int64 (N,), and `groups` (N,) of text where the data has them."""

    labels: np.ndarray
    groups: np.ndarray | None = None


@dataclass(frozen=True)
class Dataset:
    """A loaded dataset: `images[split]` uint8 (N, H, W, C) with C 1 or 3, `labels[split]` int64 (N,).

    `names["ids"]` and `names["groups"]` have texts (N,) for each split, or are {} where the data has none.
    """

    info: DatasetInfo
    images: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    names: dict[str, Names] = field(default_factory=dict)

    @property
    def train(self) -> TrainImages:
        """The train split, as a forget rule sees it."""
        return TrainImages(self.labels["train"], self.names.get("groups", {}).get("train"))
