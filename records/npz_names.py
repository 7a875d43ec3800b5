"""The optional text arrays of a dataset file: {train,val,test}_ids (N,), {…}_groups (N,) and class_names (K,).

An id names one image of the file, a group the images that belong together, such as those of a patient. All are unicode
arrays (dtype kind U), and a file has ids, or groups, for all three splits or for none.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from salun_grid.records.errors import InputError, shown
from salun_grid.records.npz import SPLITS, array_header, member, opened

KINDS = ("ids", "groups")
CLASS_NAMES = "class_names"
MAX_CHARACTERS = 256  # of a name; a wider array costs 1 KiB and more for each image

Names = dict[str, np.ndarray]


def check_names(path: Path, num_images: Mapping[str, int]) -> None:
    """Check the headers of ids and groups, and no content. Raises InputError naming the array that is wrong."""
    present = _present(path)
    for kind in KINDS:
        found = [split for split in SPLITS if f"{split}_{kind}" in present]
        if 0 < len(found) < len(SPLITS):
            lacking = next(split for split in SPLITS if split not in found)
            raise InputError(
                f"{path} has {found[0]}_{kind} but no {lacking}_{kind}; give {kind} for all of train, val and test, "
                "or for none."
            )
        for split in found:
            _check_header(path, f"{split}_{kind}", num_images[split])


def read_names(path: Path, kind: str) -> Names:
    """The `ids` or `groups` of each split, unicode (N,); {} where the file has none. Reads no other array.

    Raises InputError for another dtype, an empty name, or an id that two images share.
    """
    if f"train_{kind}" not in _present(path):
        return {}
    with opened(path) as file, np.load(file, allow_pickle=False) as arrays:
        names = {split: _checked(path, f"{split}_{kind}", member(path, arrays, f"{split}_{kind}")) for split in SPLITS}
    if kind == "ids":
        _check_unique(path, kind, np.concatenate(list(names.values())))
    return names


def read_class_names(path: Path, num_classes: int) -> tuple[str, ...]:
    """The name of each class, () where the file has none. Raises InputError unless each class has one of its own."""
    if CLASS_NAMES not in _present(path):
        return ()
    _check_header(path, CLASS_NAMES, num_classes)
    with opened(path) as file, np.load(file, allow_pickle=False) as arrays:
        names = _checked(path, CLASS_NAMES, member(path, arrays, CLASS_NAMES))
    _check_unique(path, CLASS_NAMES, names)
    return tuple(names.tolist())


def _present(path: Path) -> set[str]:
    with opened(path) as file, zipfile.ZipFile(file) as archive:
        return {name.removesuffix(".npy") for name in archive.namelist()}


def _check_header(path: Path, name: str, length: int) -> None:
    with opened(path) as file:
        shape, dtype = array_header(path, file, name)
    if dtype.kind != "U" or shape != (length,):
        raise InputError(f"{path}: {name} must be {length} texts (dtype U), not {dtype} {shape}.")
    if dtype.itemsize > 4 * MAX_CHARACTERS:
        raise InputError(f"{path}: {name} has texts of {dtype.itemsize // 4} characters; at most {MAX_CHARACTERS} fit.")


def _checked(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind != "U" or array.ndim != 1:
        raise InputError(f"{path}: {name} must be texts (dtype U), not {array.dtype} {array.shape}.")
    if (array == "").any():
        where = int(np.flatnonzero(array == "")[0])
        raise InputError(f"{path}: entry {where} of {name} is empty; give each one a text.")
    return array


def _check_unique(path: Path, what: str, names: np.ndarray) -> None:
    values, counts = np.unique(names, return_counts=True)
    if counts.max() > 1:
        raise InputError(
            f"{path}: {shown(str(values[counts.argmax()]))} is there {counts.max()} times among the {what}; "
            "each must be unique."
        )
