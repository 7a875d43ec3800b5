"""Writing and reading of the `.npz` of imported images: MedMNIST's layout, with ids, patients and class names.

{train,val,test}_images uint8 (N, S, S[, 3]) and {…}_labels (N, 1); {…}_ids and, with patients, {…}_groups, unicode
(N,); class_names, unicode (K,). Equal images make equal bytes: nothing is compressed, and no time of writing is stored.
"""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from salun_grid.images.decoding import Decoded
from salun_grid.records.errors import InputError
from salun_grid.records.folder import opened_whole
from salun_grid.records.npz import SPLITS, checked_images, checked_labels, member, opened

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip entry can have


def write_archive(target: Path, decoded: Decoded, splits: Sequence[str], classes: Sequence[str]) -> None:
    """Write the file atomically; pixels are copied image by image. Raises OSError, which names `target`."""
    entries = decoded.entries
    label_of = {name: label for label, name in enumerate(classes)}
    labels = np.array([label_of[entry.label] for entry in entries], np.uint8 if len(classes) <= 256 else np.uint16)
    with opened_whole(target) as file, zipfile.ZipFile(file, "w") as archive:
        for split in SPLITS:
            chosen = [i for i, each in enumerate(splits) if each == split]
            write_images(archive, f"{split}_images", decoded, chosen)
            write_array(archive, f"{split}_labels", labels[chosen, None])
            write_array(archive, f"{split}_ids", np.array([entries[i].id for i in chosen]))
            if any(entry.patient for entry in entries):
                write_array(archive, f"{split}_groups", np.array([entries[i].patient for i in chosen]))
        write_array(archive, "class_names", np.array(classes))


def write_array(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    with entry_of(archive, name) as file:
        npy.write_array(file, np.ascontiguousarray(array), allow_pickle=False)


def write_images(archive: zipfile.ZipFile, name: str, decoded: Decoded, chosen: Sequence[int]) -> None:
    shape = (len(chosen), *decoded.reading.shape)
    row_bytes = int(np.prod(decoded.reading.shape))
    with entry_of(archive, name) as file:
        npy.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for i in chosen:
            decoded.rows.seek(i * row_bytes)
            file.write(decoded.rows.read(row_bytes))


def entry_of(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    return archive.open(zipfile.ZipInfo(f"{name}.npy", EPOCH), "w", force_zip64=True)


# --- reading ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SplitArrays:
    """One split of a file: images uint8 (N, S, S, C), labels int64 (N,), ids and groups unicode (N,), or None."""

    images: np.ndarray
    labels: np.ndarray
    ids: np.ndarray | None
    groups: np.ndarray | None


def read_splits(path: Path) -> Iterator[tuple[str, SplitArrays]]:
    """The three splits, one in memory at a time. Raises InputError, naming the array, for another layout."""
    for split in SPLITS:
        with opened(path) as file, np.load(file, allow_pickle=False) as arrays:
            images = checked_images(path, split, member(path, arrays, f"{split}_images"))
            labels = checked_labels(path, split, member(path, arrays, f"{split}_labels"), len(images))
            ids, groups = (texts(path, arrays, f"{split}_{name}", len(images)) for name in ("ids", "groups"))
        yield split, SplitArrays(images, labels, ids, groups)


def read_class_names(path: Path, num_classes: int) -> list[str]:
    """The names in the file, or the numbers from 0. Raises InputError if there are fewer names than classes."""
    with opened(path) as file, np.load(file, allow_pickle=False) as arrays:
        names = texts(path, arrays, "class_names", None)
    if names is None:
        return [str(label) for label in range(num_classes)]
    if len(names) < num_classes:
        raise InputError(f"{path} has {len(names)} class_names, but labels up to {num_classes - 1}.")
    return names.tolist()


def texts(path: Path, arrays: np.lib.npyio.NpzFile, name: str, length: int | None) -> np.ndarray | None:
    """An optional array of texts (N,); None where the file has none of the name."""
    if name not in arrays.files:
        return None
    array = member(path, arrays, name)
    if array.dtype.kind != "U" or array.ndim != 1 or (length is not None and len(array) != length):
        wanted = "one text each" if length is None else f"one text for each of the {length:,} images"
        raise InputError(f"{path}: {name} must be {wanted}, not {array.dtype} {array.shape}.")
    return array
