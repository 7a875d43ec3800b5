"""Write the demo's images, `records/blood_cells.jpg`: `python pack_blood_cells.py PBC_BLOOD_64.npz OUT.jpg`.

The first file holds the PBC blood cells at 64 px in MedMNIST's layout. The same number of images of each class is drawn
from each split, reduced to 28 px and tiled into one JPEG without chroma subsampling: by split, then by class.
"""

import sys

import numpy as np
from PIL import Image

PER_CLASS = {"train": 100, "val": 20, "test": 40}
NUM_CLASSES, SIDE, COLUMNS = 8, 28, 40
SEED, QUALITY = 0, 95

source, target = sys.argv[1:]
rng = np.random.default_rng(SEED)
tiles = []
with np.load(source, allow_pickle=False) as whole:
    for split, count in PER_CLASS.items():
        images, labels = whole[f"{split}_images"], whole[f"{split}_labels"].ravel()
        for label in range(NUM_CLASSES):
            for index in np.sort(rng.permutation(np.flatnonzero(labels == label))[:count]):
                tiles.append(np.asarray(Image.fromarray(images[index]).resize((SIDE, SIDE), Image.Resampling.LANCZOS)))
rows = np.stack(tiles).reshape(-1, COLUMNS, SIDE, SIDE, 3)
sheet = rows.transpose(0, 2, 1, 3, 4).reshape(len(rows) * SIDE, COLUMNS * SIDE, 3)
Image.fromarray(sheet).save(target, quality=QUALITY, subsampling=0, optimize=True)
