"""Splits by patient: seeded, stratified by class, and no patient in two splits."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np

from salun_grid.images.entries import Entry
from salun_grid.records.errors import InputError
from salun_grid.records.npz import SPLITS

# Among splits that lack a class equally, the small ones come first, so that they are not left empty.
BY_NEED = ("val", "test", "train")
MAX_SEED = 2**31 - 1


@dataclass(frozen=True)
class Fractions:
    """Fractions of the images in `val` and `test`, and the seed of the draw. Raises InputError outside their ranges."""

    val: float = 0.1
    test: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("val", "test"):
            value = getattr(self, name)
            if not (isfinite(value) and 0 < value < 1):
                raise InputError(f"--{name} must be a fraction of the images, between 0 and 1, not {value:g}.")
        if self.val + self.test >= 1:
            raise InputError(f"--val {self.val:g} and --test {self.test:g} leave no images for training; lower them.")
        if not 0 <= self.seed <= MAX_SEED:
            raise InputError(f"--seed must be a whole number from 0 to {MAX_SEED}, not {self.seed}.")

    @property
    def by_split(self) -> dict[str, float]:
        return {"val": self.val, "test": self.test, "train": 1 - self.val - self.test}


def split_of(entries: Sequence[Entry], fractions: Fractions) -> list[str]:
    """The split of each entry. All images of a patient get the same one; without a patient, each image is its own.

    Patients come in a random order that depends on the seed and the order of the entries alone. Each goes to the split
    that lacks most of its classes, relative to the size of each class. With one class per patient, the images of a
    class in a split are within twice its largest patient of their fraction. Raises InputError if a split stays empty.
    """
    classes = {label: i for i, label in enumerate(dict.fromkeys(entry.label for entry in entries))}
    patients: dict[object, list[int]] = defaultdict(list)
    for i, entry in enumerate(entries):
        patients[entry.patient or i].append(i)
    members = list(patients.values())
    labels = np.array([classes[entry.label] for entry in entries])
    sizes = np.bincount(labels, minlength=len(classes))
    lacking = np.array([[fractions.by_split[split]] for split in BY_NEED]) * sizes
    splits = [""] * len(entries)
    for patient in np.random.default_rng(fractions.seed).permutation(len(members)):
        images = members[patient]
        own, counts = np.unique(labels[images], return_counts=True)
        need = lacking[:, own] @ (counts / sizes[own])
        chosen = int(np.argmax(need.round(9)))
        lacking[chosen, own] -= counts
        for i in images:
            splits[i] = BY_NEED[chosen]
    if empty := [split for split in SPLITS if split not in splits]:
        raise InputError(
            f"{len(members):,} {'patients' if any(e.patient for e in entries) else 'images'} are too few for the split "
            f"{empty[0]}, which stayed empty; raise its fraction or add images."
        )
    return splits


def given_split(source: str, entries: Sequence[Entry]) -> list[str]:
    """The split that the table gives. Raises InputError if it leaves one of the three empty."""
    splits = [entry.split for entry in entries]
    if empty := [split for split in SPLITS if split not in splits]:
        raise InputError(
            f"{source} has no image of the split {empty[0]}; each of {', '.join(SPLITS)} needs some. Without "
            "--split-column, the images are split by patient."
        )
    return splits
