"""Dataset files in MedMNIST's layout, `.npz`: {train,val,test}_images uint8 (N, H, W[, 3]), {…}_labels (N[, 1]).

Ids, groups and class names, which a file may have besides, are in `npz_names`. Headers are checked before anything is
decompressed, and pickles are never read.
"""

import hashlib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from salun_grid.records.errors import InputError

SPLITS = ("train", "val", "test")
MAX_CLASS = 9999
MAX_REASON = 200  # characters of a numpy message, which may quote a header
# Decompressed images are briefly in memory twice: as read, and as resized or copied to a tensor.
COPIES = 2

Arrays = dict[str, np.ndarray]


def fingerprint_of(images: Arrays, labels: Arrays) -> str:
    """The fingerprint of images that are in no `.npz` file: SHA-256 of the pixels and labels, split by split."""
    digest = hashlib.sha256()
    for split in SPLITS:
        digest.update(images[split].tobytes() + labels[split].tobytes())
    return f"sha256:{digest.hexdigest()}"


def read_npz(path: Path) -> tuple[Arrays, Arrays]:
    """Images (uint8, (N, H, W, C)) and labels (int64, (N,)) of each split.

    Raises InputError, naming the file and the array, for another layout, an unreadable file, or one that does not fit
    in memory.
    """
    with opened(path) as file:
        check_memory(path, sum(array_bytes(path, file, f"{split}_images") for split in SPLITS))
    with opened(path) as file, np.load(file, allow_pickle=False) as arrays:
        images = {split: checked_images(path, split, member(path, arrays, f"{split}_images")) for split in SPLITS}
        labels = {
            split: checked_labels(path, split, member(path, arrays, f"{split}_labels"), len(images[split]))
            for split in SPLITS
        }
    if len({array.shape[1:] for array in images.values()}) != 1:
        raise InputError(f"{path}: the images of train, val and test differ in shape; they must be the same.")
    return images, labels


def read_train_labels(path: Path) -> np.ndarray:
    """Train labels (int64, (N,)) without the images. Raises InputError as `read_npz` does."""
    with opened(path) as file, np.load(file, allow_pickle=False) as arrays:
        labels = member(path, arrays, "train_labels")
        return checked_labels(path, "train", labels, len(labels))


def read_train_images(path: Path) -> np.ndarray:
    """Images of the train split (uint8, (N, H, W, C)) alone; the file need hold no other array.

    Raises InputError as `read_npz`, but does not compare the size with the free memory first.
    """
    with opened(path) as file:
        array_bytes(path, file, "train_images")
    with opened(path) as file, np.load(file, allow_pickle=False) as arrays:
        return checked_images(path, "train", member(path, arrays, "train_images"))


def medmnist_file(name: str, size: int) -> str:
    """The name of MedMNIST's own file of a dataset at `size` pixels."""
    return f"{name}{'' if size == 28 else f'_{size}'}.npz"


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open the file; any error while reading becomes an InputError with its cause."""
    try:
        with path.open("rb") as file:
            yield file
    except InputError:
        raise
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise InputError(f"no dataset file at {path}; give the path of an .npz file in MedMNIST's layout.") from None
    except PermissionError:
        raise InputError(f"{path} is not readable by this user; ask its owner for permission.") from None
    except MemoryError:
        raise InputError(f"{path} does not fit in memory; use a smaller file or a machine with more memory.") from None
    except Exception as error:  # the file may be anything
        if "pickle" in str(error).lower() or "object array" in str(error).lower():
            raise InputError(
                f"{path} contains pickled Python objects, which can run code when read; save plain numeric arrays."
            ) from None
        reason = " ".join(str(error).split())[:MAX_REASON]
        raise InputError(f"{path} is damaged or not an .npz file ({reason}); copy or download it again.") from None


def array_bytes(path: Path, file: IO[bytes], name: str) -> int:
    """The size of an array in bytes, from its header."""
    shape, dtype = array_header(path, file, name)
    return prod(shape) * dtype.itemsize


def array_header(path: Path, file: IO[bytes], name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of an array, from its header, which must match its entry in the archive."""
    with zipfile.ZipFile(file) as archive:
        try:
            entry = archive.getinfo(f"{name}.npy")
        except KeyError:
            raise absent(path, name) from None
        with archive.open(entry) as content:
            version = npy.read_magic(content)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = read(content)
            if dtype.hasobject:
                raise ValueError("object array")
            num_bytes = prod(shape) * dtype.itemsize
            if content.tell() + num_bytes != entry.file_size:
                raise ValueError(f"{name} declares {shape} of {dtype}, but its entry has {entry.file_size:,} bytes")
    return shape, dtype


def check_memory(path: Path, num_bytes: int) -> None:
    """Raise InputError if COPIES times `num_bytes` exceeds the free memory."""
    import psutil

    free = psutil.virtual_memory().available
    if COPIES * num_bytes > free:
        gib = 2**30
        raise InputError(
            f"the images of {path} decompress to {num_bytes / gib:.1f} GiB and {COPIES} copies are needed, but "
            f"{free / gib:.1f} GiB of memory are free; use a smaller file or a machine with more memory."
        )


def absent(path: Path, name: str) -> InputError:
    return InputError(f"{path} has no array {name}; MedMNIST's layout needs images and labels for train, val and test.")


def member(path: Path, file: np.lib.npyio.NpzFile, name: str) -> np.ndarray:
    if name not in file.files:
        raise absent(path, name)
    array = file[name]
    if not isinstance(array, np.ndarray):  # numpy returns an entry that is not an array as bytes
        raise InputError(f"{path}: {name} is not a numpy array; save the file with numpy.savez.")
    return array


def checked_images(path: Path, split: str, array: np.ndarray) -> np.ndarray:
    grey, colour = array.ndim == 3, array.ndim == 4 and array.shape[-1] in (1, 3)
    if array.dtype != np.uint8 or not (grey or colour) or array.shape[1] != array.shape[2] or array.size == 0:
        raise InputError(
            f"{path}: {split}_images must be uint8 square images, (N, S, S) or (N, S, S, 3) with N above 0, "
            f"not {array.dtype} {array.shape}."
        )
    return array[..., None] if grey else array


def checked_labels(path: Path, split: str, array: np.ndarray, num_images: int) -> np.ndarray:
    if array.ndim == 2 and array.shape[1] > 1 and len(array) == num_images:
        raise InputError(f"{path}: {split}_labels has {array.shape[1]} labels per image, but only one is supported.")
    if not np.issubdtype(array.dtype, np.integer):
        raise InputError(
            f"{path}: {split}_labels must be whole numbers, not {array.dtype}; number the classes from 0, as "
            "numpy.unique(labels, return_inverse=True)[1] does."
        )
    if array.shape not in ((num_images,), (num_images, 1)):
        raise InputError(
            f"{path}: {split}_labels must be one whole number for each of the {num_images} images, not {array.shape}."
        )
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > MAX_CLASS:
        raise InputError(f"{path}: {split}_labels must be classes counted from 0, not {low}..{high}.")
    return array.reshape(-1).astype(np.int64)
