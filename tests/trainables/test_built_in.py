"""The datasets that come with the package: the same pixels everywhere, and a licence alongside the images."""

from pathlib import Path

import numpy as np
import pytest

from salun_grid.records import blood_cells
from salun_grid.records.built_in import BUILT_IN
from salun_grid.trainables.data import dataset_names, describe, load

GOLDEN = {
    "blood_cells": "sha256:35bd11bee4664421ddd0335a34bc2977eaaf4e685608445d8ce652dcc8030d84",
    "digits": "sha256:6f73095217f0a42c43d8e6ec197f30534d706a60dca7ed40849db92c2a9790e1",
}


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_pixels_are_the_published_ones(name: str) -> None:
    """Keys contain the fingerprint, so other pixels would train every model again."""
    assert describe(name, 0).fingerprint == GOLDEN[name]


def test_the_blood_cells_are_balanced_and_shuffled() -> None:
    info = describe("blood_cells", 0)
    assert info.num_images == {"train": 800, "val": 160, "test": 320}
    assert (info.num_classes, info.image_size, info.num_channels) == (8, 28, 3)
    dataset = load(info)
    for split, count in blood_cells.PER_CLASS.items():
        labels = dataset.labels[split]
        assert np.bincount(labels).tolist() == [count] * 8
        assert len(set(labels[:50].tolist())) > 4, "the paper's attack takes the first images"
    pixels = [image.tobytes() for split in blood_cells.PER_CLASS for image in dataset.images[split]]
    assert len(set(pixels)) == len(pixels) == 1280, "an image occurs twice"


def test_the_licence_and_citation_come_with_the_images() -> None:
    text = Path(blood_cells.__file__).with_name("blood_cells.LICENSE.md").read_text(encoding="utf-8")
    assert "CC BY 4.0" in text and "Acevedo" in text
    assert blood_cells.TILES.stat().st_size < 1.1e6


def test_the_built_in_names_are_listed_first() -> None:
    assert dataset_names()[: len(BUILT_IN)] == list(BUILT_IN)
