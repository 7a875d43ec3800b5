"""The demo's images: 1,280 stained blood cells at 28 px, 8 classes, shipped as one JPEG of tiles.

A part of the PBC dataset (Acevedo et al. 2020, Data in Brief 30:105474, CC BY 4.0), the source of BloodMNIST, with
equal classes and splits of its own: figures from it are not BloodMNIST's. `blood_cells.LICENSE.md` has the citation.
"""

from functools import cache
from pathlib import Path

import numpy as np

from salun_grid.records.npz import SPLITS, Arrays, fingerprint_of

TILES = Path(__file__).with_name("blood_cells.jpg")
SIDE = 28  # pixels
NUM_CLASSES = 8
PER_CLASS = {"train": 100, "val": 20, "test": 40}


@cache
def read_blood_cells() -> tuple[str, Arrays, Arrays]:
    """Fingerprint, images (uint8, (N, 28, 28, 3)) and labels (int64, (N,)) by split: 800 / 160 / 320 cells."""
    from PIL import Image  # the plan of another dataset does without

    with Image.open(TILES) as opened:
        sheet = np.asarray(opened)
    rows, columns = sheet.shape[0] // SIDE, sheet.shape[1] // SIDE
    tiles = sheet.reshape(rows, SIDE, columns, SIDE, 3).transpose(0, 2, 1, 3, 4).reshape(-1, SIDE, SIDE, 3)
    rng, images, labels, start = np.random.default_rng(0), {}, {}, 0
    for split in SPLITS:
        classes = np.repeat(np.arange(NUM_CLASSES), PER_CLASS[split])
        order = rng.permutation(len(classes))  # the tiles are sorted by class; the paper's attack takes the first ones
        images[split], labels[split] = tiles[start + order], classes[order]
        start += len(classes)
    return fingerprint_of(images, labels), images, labels
