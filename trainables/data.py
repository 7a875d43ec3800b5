"""Datasets: MedMNIST by name, any `.npz` in MedMNIST's layout by path, scikit-learn's digits.

`describe` says what a dataset is without downloading it; `load` brings the pixels. Files are data, never code:
no pickle is ever read.
"""

import hashlib
import os
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from trainables.errors import InputError, unknown_choice

SPLITS = ("train", "val", "test")
MEDMNIST_SIZES = (28, 64, 128, 224)


@dataclass(frozen=True)
class DatasetInfo:
    """What a plan needs to know of a dataset. `fingerprint` changes when any pixel or label does."""

    name: str
    source: str
    fingerprint: str
    num_classes: int
    image_size: int
    num_channels: int
    num_images: dict[str, int]

    @property
    def identity(self) -> list[Any]:
        """What decides the images that a job sees, for its key."""
        return [self.fingerprint, self.image_size]


@dataclass(frozen=True)
class Dataset:
    """`images[split]`: uint8 (N, H, W, C), C is 1 or 3; `labels[split]`: int64 (N,)."""

    info: DatasetInfo
    images: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]


def dataset_names() -> list[str]:
    """The names that `describe` knows, beside paths ending in .npz."""
    return ["digits", *_medmnist_info()]


def describe(source: str, image_size: int) -> DatasetInfo:
    """The dataset named by `source` at `image_size` pixels (0: its own size).

    Raises InputError for an unknown name, a size that MedMNIST does not publish, or a bad file.
    """
    if source.endswith(".npz"):
        return _describe_npz(source, image_size)
    if source == "digits":
        return _info_of("digits", "digits", *_digits(), image_size)
    if source in _medmnist_info():
        return _describe_medmnist(source, image_size)
    raise unknown_choice("dataset", source, [*dataset_names(), "a path to an .npz file"])


def load(info: DatasetInfo) -> Dataset:
    """The pixels and labels of a described dataset, resized to `info.image_size` where they differ."""
    if info.source.endswith(".npz"):
        images, labels = read_npz(Path(info.source))
    elif info.source == "digits":
        images, labels = _digits()[1:]
    else:
        images, labels = read_npz(_download_medmnist(info.source, info.image_size))
    images = {split: _resized(images[split], info.image_size) for split in SPLITS}
    return Dataset(info, images, labels)


# --- npz files ------------------------------------------------------------------------------------------


def read_npz(path: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Images (uint8, (N, H, W, C)) and labels (int64, (N,)) of each split of a file in MedMNIST's layout.

    The layout: `{train,val,test}_images` uint8 (N, H, W) or (N, H, W, 3), `{…}_labels` whole numbers (N, 1)
    or (N,). Raises InputError, naming the file and the array, for anything else.
    """
    if not path.is_file():
        raise InputError(f"no dataset file at {path}; give the path of an .npz file in MedMNIST's layout.")
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            images = {split: _checked_images(path, split, _array(path, file, f"{split}_images")) for split in SPLITS}
            labels = {
                split: _checked_labels(path, split, _array(path, file, f"{split}_labels"), len(images[split]))
                for split in SPLITS
            }
    except InputError:
        raise
    except Exception as error:  # the file may be anything, and whatever stops its reader is the file's fault
        if "pickle" in str(error).lower() or "object array" in str(error).lower():
            raise InputError(
                f"{path} holds pickled Python objects, which can run code when read; save plain numeric arrays."
            ) from None
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is broken or not an .npz file ({reason}); copy or download it again.") from None
    if len({array.shape[1:] for array in images.values()}) != 1:
        raise InputError(f"{path}: the images of train, val and test differ in shape; they must be the same.")
    return images, labels


def _array(path: Path, file: np.lib.npyio.NpzFile, name: str) -> np.ndarray:
    if name not in file.files:
        raise InputError(
            f"{path} has no array {name}; MedMNIST's layout needs images and labels for train, val and test."
        )
    array = file[name]
    if not isinstance(array, np.ndarray):  # numpy hands over an entry that is no array as bytes
        raise InputError(f"{path}: {name} is not a numpy array; save the file with numpy.savez.")
    return array


def _checked_images(path: Path, split: str, array: np.ndarray) -> np.ndarray:
    grey, colour = array.ndim == 3, array.ndim == 4 and array.shape[-1] in (1, 3)
    if array.dtype != np.uint8 or not (grey or colour) or array.shape[1] != array.shape[2] or array.size == 0:
        raise InputError(
            f"{path}: {split}_images must be uint8 square images, (N, S, S) or (N, S, S, 3) with N above 0, "
            f"not {array.dtype} {array.shape}."
        )
    return array[..., None] if grey else array


def _checked_labels(path: Path, split: str, array: np.ndarray, num_images: int) -> np.ndarray:
    whole = np.issubdtype(array.dtype, np.integer)
    if not whole or array.size != num_images or array.shape not in ((num_images,), (num_images, 1)):
        raise InputError(
            f"{path}: {split}_labels must be one whole number for each of the {num_images} images, "
            f"not {array.dtype} {array.shape} (several labels an image are not supported)."
        )
    labels = array.reshape(-1).astype(np.int64)
    if labels.min() < 0 or labels.max() > 9999:
        raise InputError(f"{path}: {split}_labels must be classes counted from 0, not {labels.min()}..{labels.max()}.")
    return labels


def _describe_npz(source: str, image_size: int) -> DatasetInfo:
    path = Path(source)
    images, labels = read_npz(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return _info_of(path.stem, source, f"sha256:{digest}", images, labels, image_size)


def _info_of(
    name: str,
    source: str,
    fingerprint: str,
    images: dict[str, np.ndarray],
    labels: dict[str, np.ndarray],
    image_size: int,
) -> DatasetInfo:
    num_classes = 1 + max(int(labels[split].max()) for split in SPLITS)
    if num_classes < 2:
        raise InputError(f"{source} holds one class only; a classifier needs two or more.")
    _, _, own_size, num_channels = images["train"].shape
    counts = {split: len(images[split]) for split in SPLITS}
    return DatasetInfo(name, source, fingerprint, num_classes, image_size or own_size, num_channels, counts)


def _resized(images: np.ndarray, size: int) -> np.ndarray:
    if images.shape[1] == size:
        return images
    import torch
    from torchvision.transforms.functional import resize

    out = [
        resize(torch.from_numpy(images[i : i + 1024]).permute(0, 3, 1, 2), [size, size], antialias=True)
        for i in range(0, len(images), 1024)
    ]
    return torch.cat(out).permute(0, 2, 3, 1).contiguous().numpy()


# --- MedMNIST -------------------------------------------------------------------------------------------


@cache
def _medmnist_info() -> dict[str, dict]:
    """MedMNIST's own table, cut to 2-D datasets with one label an image."""
    from medmnist import INFO

    return {
        name: info
        for name, info in INFO.items()
        if info["task"] in ("multi-class", "binary-class", "ordinal-regression") and not name.endswith("3d")
    }


def _describe_medmnist(name: str, image_size: int) -> DatasetInfo:
    size = image_size or 28
    if size not in MEDMNIST_SIZES:
        raise InputError(
            f"image_size {size} of {name}: MedMNIST publishes {', '.join(map(str, MEDMNIST_SIZES))} pixels."
        )
    info = _medmnist_info()[name]
    md5 = info["MD5" if size == 28 else f"MD5_{size}"]
    counts = {split: info["n_samples"][split] for split in SPLITS}
    return DatasetInfo(name, name, f"md5:{md5}", len(info["label"]), size, info["n_channels"], counts)


def _download_medmnist(name: str, size: int) -> Path:
    """The path of MedMNIST's own file, downloaded by the medmnist package, which checks its md5."""
    import medmnist

    root = Path(os.environ.get("MEDMNIST_ROOT", medmnist.dataset.DEFAULT_ROOT or Path.home() / ".medmnist"))
    path = root / f"{name}{'' if size == 28 else f'_{size}'}.npz"
    try:
        root.mkdir(parents=True, exist_ok=True)
        dataset_class = getattr(medmnist, _medmnist_info()[name]["python_class"])
        dataset_class(split="val", root=str(root), size=size, download=True)
    except (RuntimeError, OSError, ValueError, zipfile.BadZipFile):
        raise InputError(
            f"{path.name} is not in {root} with MedMNIST's md5 and could not be downloaded; "
            f"check the network, or put the file there by hand (MEDMNIST_ROOT names another folder)."
        ) from None
    return path


# --- digits ---------------------------------------------------------------------------------------------


@cache
def _digits() -> tuple[str, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Fingerprint, images and labels of scikit-learn's 1,797 handwritten digits, 8 × 8, split 1,200 / 199 / 398."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    order = np.random.default_rng(0).permutation(len(pixels))
    parts = dict(zip(SPLITS, np.split(order, [1200, 1399]), strict=True))
    images = {split: pixels[part] for split, part in parts.items()}
    labels = {split: digits.target[part].astype(np.int64) for split, part in parts.items()}
    digest = hashlib.sha256()
    for split in SPLITS:
        digest.update(images[split].tobytes() + labels[split].tobytes())
    return f"sha256:{digest.hexdigest()}", images, labels
