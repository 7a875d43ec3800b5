"""Write the subset that this study trains on: `python make_subset.py PBC_BLOOD_64.npz SUBSET.npz`.

The first file has the PBC blood cells at 64 px in MedMNIST's layout; README.md says where they come from.
"""

import sys

import numpy as np

NUM_IMAGES = {"train": 1000, "val": 400, "test": 1000}
SEED = 0

source, target = sys.argv[1:]
rng = np.random.default_rng(SEED)
with np.load(source, allow_pickle=False) as whole:
    subset = {}
    for split, count in NUM_IMAGES.items():
        chosen = np.sort(rng.permutation(len(whole[f"{split}_labels"]))[:count])
        for part in ("images", "labels"):
            subset[f"{split}_{part}"] = whole[f"{split}_{part}"][chosen]
np.savez(target, **subset)
