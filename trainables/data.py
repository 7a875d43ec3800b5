"""Datasets: MedMNIST by name, `.npz` files in MedMNIST's layout by path, and the built-in ones.

`describe` returns a dataset's metadata without a download; `load` reads the pixels. Files are data, never code:
pickles are never read.
"""

import hashlib
import os
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from salun_grid.records.built_in import BUILT_IN
from salun_grid.records.errors import InputError, unknown_choice
from salun_grid.records.npz import SPLITS, medmnist_file, read_npz, read_train_labels
from salun_grid.records.npz_names import KINDS, Names, check_names, read_class_names, read_names
from salun_grid.trainables.dataset import Dataset, DatasetInfo, TrainImages

__all__ = [
    "SPLITS",
    "Dataset",
    "DatasetInfo",
    "TrainImages",
    "dataset_names",
    "describe",
    "load",
    "names_of",
    "read_npz",
    "train_labels",
    "with_class_counts",
]

MEDMNIST_SIZES = (28, 64, 128, 224)
MIN_SIZE, MAX_SIZE = 8, 512  # pixels, as in the setting image_size


def dataset_names() -> list[str]:
    """The names that `describe` accepts, besides paths ending in .npz."""
    return [*BUILT_IN, *_medmnist_info()]


def describe(source: str, image_size: int, allow_empty_classes: bool = False) -> DatasetInfo:
    """Metadata of the dataset `source` at `image_size` pixels (0: its own size).

    Raises InputError for an unknown name, a size that MedMNIST does not publish, a bad file or, unless
    `allow_empty_classes`, labels with gaps.
    """
    if is_npz(source):
        return _describe_npz(source, image_size, allow_empty_classes)
    if source in BUILT_IN:
        return _info_of(source, source, *BUILT_IN[source](), image_size)
    if source in _medmnist_info():
        return _describe_medmnist(source, image_size)
    raise _other_medmnist(source) or unknown_choice("dataset", source, [*dataset_names(), "a path to an .npz file"])


def with_class_counts(info: DatasetInfo) -> DatasetInfo:
    """`info` with class counts; downloads a MedMNIST dataset that is not cached."""
    if info.class_counts:
        return info
    counts = np.bincount(train_labels(info), minlength=info.num_classes)
    return replace(info, class_counts=tuple(counts.tolist()))


def train_labels(info: DatasetInfo) -> np.ndarray:
    """Train labels (int64, (N,)), without the pixels; downloads a MedMNIST dataset that is not cached."""
    if info.source in BUILT_IN:
        return BUILT_IN[info.source]()[2]["train"]
    return read_train_labels(
        Path(info.source) if is_npz(info.source) else _download_medmnist(info.source, info.image_size)
    )


def names_of(info: DatasetInfo, kind: str) -> Names:
    """The `ids` or `groups` of each split, without the pixels; {} where the data has none."""
    return read_names(Path(info.source), kind) if is_npz(info.source) else {}


def is_npz(source: str) -> bool:
    return source.lower().endswith(".npz")


def load(info: DatasetInfo) -> Dataset:
    """The pixels and labels of a described dataset, resized to `info.image_size` if needed."""
    if is_npz(info.source):
        images, labels = read_npz(Path(info.source))
    elif info.source in BUILT_IN:
        images, labels = BUILT_IN[info.source]()[1:]
    else:
        images, labels = read_npz(_download_medmnist(info.source, info.image_size))
    images = {split: _resized(images[split], info.image_size) for split in SPLITS}
    return Dataset(info, images, labels, {kind: names_of(info, kind) for kind in KINDS})


# --- npz files ------------------------------------------------------------------------------------------


def _describe_npz(source: str, image_size: int, allow_empty_classes: bool) -> DatasetInfo:
    path = Path(source)
    images, labels = read_npz(path)
    if not allow_empty_classes:
        _check_classes(source, labels)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    info = _info_of(path.stem, source, f"sha256:{digest}", images, labels, image_size)
    check_names(path, info.num_images)
    return replace(info, class_names=read_class_names(path, info.num_classes))


def _check_classes(source: str, labels: dict[str, np.ndarray]) -> None:
    """Raise InputError if a class below the highest label has no train image, since it would count as a class."""
    num_classes = 1 + max(int(labels[split].max()) for split in SPLITS)
    empty = np.setdiff1d(np.arange(num_classes), labels["train"])
    if len(empty):
        some = ", ".join(map(str, empty[:5])) + (", …" if len(empty) > 5 else "")
        raise InputError(
            f"{source}: {len(empty)} of {num_classes} classes have no train image ({some}); number the classes from 0 "
            "without gaps, as numpy.unique(labels, return_inverse=True)[1] does, or pass --allow-empty-classes."
        )


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
        raise InputError(f"{source} has only one class; a classifier needs at least two.")
    _, _, own_size, num_channels = images["train"].shape
    counts = {split: len(images[split]) for split in SPLITS}
    size = image_size or own_size
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise InputError(
            f"the images of {source} are {size} px; {MIN_SIZE} to {MAX_SIZE} px are supported. Pass --image-size."
        )
    per_class = np.bincount(labels["train"], minlength=num_classes)
    return DatasetInfo(name, source, fingerprint, num_classes, size, num_channels, counts, tuple(per_class.tolist()))


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
    """MedMNIST's table of datasets, restricted to 2-D datasets with one label per image."""
    from medmnist import INFO

    return {
        name: info
        for name, info in INFO.items()
        if info["task"] in ("multi-class", "binary-class", "ordinal-regression") and not name.endswith("3d")
    }


def _other_medmnist(name: str) -> InputError | None:
    """The error for a MedMNIST dataset that is not supported; None if MedMNIST has no such dataset."""
    from medmnist import INFO

    if name not in INFO:
        return None
    if name.endswith("3d"):
        return InputError(f"{name} contains volumes, but only 2-D images are supported; `organamnist` is 2-D.")
    num_labels = len(INFO[name]["label"])
    return InputError(f"{name} has {num_labels} labels per image, but only one label per image is supported.")


def _describe_medmnist(name: str, image_size: int) -> DatasetInfo:
    size = image_size or 28
    if size not in MEDMNIST_SIZES:
        raise InputError(
            f"image_size {size} of {name}: MedMNIST publishes sizes {', '.join(map(str, MEDMNIST_SIZES))}."
        )
    info = _medmnist_info()[name]
    md5 = info["MD5" if size == 28 else f"MD5_{size}"]
    counts = {split: info["n_samples"][split] for split in SPLITS}
    names = tuple(info["label"][str(k)] for k in range(len(info["label"])))
    return DatasetInfo(name, name, f"md5:{md5}", len(names), size, info["n_channels"], counts, class_names=names)


def medmnist_root() -> Path:
    """The folder of MedMNIST's files: MEDMNIST_ROOT, or the default of the medmnist package."""
    import medmnist

    own = medmnist.dataset.DEFAULT_ROOT or Path.home() / ".medmnist"
    try:
        return Path(os.environ.get("MEDMNIST_ROOT") or own).expanduser()
    except RuntimeError:
        raise InputError(f"MEDMNIST_ROOT is {os.environ['MEDMNIST_ROOT']}, but that user does not exist.") from None


def _download_medmnist(name: str, size: int) -> Path:
    """The path of MedMNIST's file, downloaded if needed and md5-checked by the medmnist package."""
    import medmnist

    root = medmnist_root()
    path = root / medmnist_file(name, size)
    try:
        root.mkdir(parents=True, exist_ok=True)
        dataset_class = getattr(medmnist, _medmnist_info()[name]["python_class"])
        dataset_class(split="val", root=str(root), size=size, download=True)
    except (RuntimeError, OSError, ValueError, zipfile.BadZipFile):
        raise InputError(
            f"{path.name} is not in {root} with MedMNIST's md5 and could not be downloaded; "
            f"check the network, or put the file there by hand (MEDMNIST_ROOT sets another folder)."
        ) from None
    return path
