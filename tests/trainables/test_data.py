"""Datasets: what a good file gives, what every bad one says, and MedMNIST without a network."""

import hashlib
import shutil
import socket
import urllib.error
import urllib.request
from pathlib import Path

import medmnist
import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from salun_grid.records.errors import InputError
from salun_grid.trainables.data import SPLITS, describe, load, medmnist_root, read_npz, with_class_counts
from salun_grid.trainables.resident import ResidentData

COUNTS = {"train": 7, "val": 4, "test": 5}


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Any attempt to reach a host fails, and loudly."""

    def refuse(*args, **kwargs):
        raise AssertionError("a test reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def arrays(size: int = 8, channels: int = 0, column: bool = False, **changes) -> dict[str, np.ndarray]:
    """A good file's arrays, three classes; `changes` replaces arrays by name, None leaves one out."""
    random, out = np.random.default_rng(0), {}
    for split, count in COUNTS.items():
        shape = (count, size, size, channels) if channels else (count, size, size)
        out[f"{split}_images"] = random.integers(0, 256, shape, dtype=np.uint8)
        labels = np.arange(count) % 3
        out[f"{split}_labels"] = (labels[:, None] if column else labels).astype(np.uint8)
    return {name: array for name, array in {**out, **changes}.items() if array is not None}


def saved(path: Path, **content: np.ndarray) -> Path:
    np.savez(path, **content)
    return path


# --- digits -------------------------------------------------------------------------------------------------


def test_digits_are_scikit_learns_split_in_three():
    info = describe("digits", 0)
    data = load(info)
    assert (info.num_classes, info.image_size, info.num_channels) == (10, 8, 1)
    assert info.num_images == {"train": 1200, "val": 199, "test": 398}
    for split in SPLITS:
        assert data.images[split].shape == (info.num_images[split], 8, 8, 1)
        assert data.images[split].dtype == np.uint8 and data.labels[split].dtype == np.int64
    ours = [
        (tuple(np.rint(image.ravel() * (16 / 255)).astype(int)), int(label))
        for split in SPLITS
        for image, label in zip(data.images[split], data.labels[split], strict=True)
    ]
    pixels, targets = load_digits(return_X_y=True)
    theirs = [(tuple(row.astype(int)), int(label)) for row, label in zip(pixels, targets, strict=True)]
    assert sorted(ours) == sorted(theirs)
    assert max(image.max() for image in data.images.values()) == 255


# --- files that are good ------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [0, 1, 3])
@pytest.mark.parametrize("column", [False, True])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_good_file_is_read_as_it_is(tmp_path, channels, column, save):
    content = arrays(channels=channels, column=column)
    path = tmp_path / "good.npz"
    save(path, **content)
    images, labels = read_npz(path)
    info = describe(str(path), 0)
    for split, count in COUNTS.items():
        assert images[split].shape == (count, 8, 8, channels or 1) and images[split].dtype == np.uint8
        assert np.array_equal(images[split].ravel(), content[f"{split}_images"].ravel())
        assert labels[split].shape == (count,) and labels[split].dtype == np.int64
        assert labels[split].tolist() == [i % 3 for i in range(count)]
    assert (info.name, info.source, info.num_classes) == ("good", str(path), 3)
    assert (info.image_size, info.num_channels, info.num_images) == (8, channels or 1, COUNTS)
    loaded = load(info)
    assert all(np.array_equal(loaded.images[split], images[split]) for split in SPLITS)
    resident = ResidentData.of(loaded, torch.device("cpu"))
    assert resident.num_classes == 3
    assert all(np.array_equal(resident.images[split].numpy(), images[split]) for split in SPLITS)
    assert all(resident.labels[split].tolist() == labels[split].tolist() for split in SPLITS)


def test_a_class_seen_in_one_split_only_counts(tmp_path):
    path = saved(tmp_path / "a.npz", **arrays(test_labels=np.array([0, 1, 2, 3, 6])))
    assert describe(str(path), 0, allow_empty_classes=True).num_classes == 7
    with pytest.raises(InputError, match=r"4 of 7 classes have no train image \(3, 4, 5, 6\)"):
        describe(str(path), 0)


@pytest.mark.parametrize(
    ("labels", "empty"),
    [([1, 2, 3], "1 of 4 classes have no train image (0)"), ([0, 1, 255], "253 of 256 classes")],
)
def test_labels_that_skip_a_number_are_refused_with_a_hint_how_to_renumber_them(tmp_path, labels, empty):
    values = {split: np.resize(labels, COUNTS[split]) for split in SPLITS}
    path = saved(tmp_path / "a.npz", **arrays(**{f"{split}_labels": each for split, each in values.items()}))
    with pytest.raises(InputError) as error:
        describe(str(path), 0)
    assert empty in str(error.value) and "numpy.unique(labels, return_inverse=True)[1]" in str(error.value)
    assert "--allow-empty-classes" in str(error.value)
    assert describe(str(path), 0, allow_empty_classes=True).num_classes == 1 + max(labels)


@pytest.mark.parametrize("size", [1, 2, 600])
def test_images_of_an_unusable_size_are_refused_unless_they_are_resized(tmp_path, size):
    path = saved(tmp_path / "a.npz", **arrays(size=size))
    with pytest.raises(InputError, match=f"are {size} px; 8 to 512 px are supported. Pass --image-size"):
        describe(str(path), 0)
    assert describe(str(path), 16).image_size == 16


def test_an_uppercase_suffix_is_a_file_too(tmp_path):
    path = saved(tmp_path / "a.npz", **arrays()).rename(tmp_path / "A.NPZ")
    assert load(describe(str(path), 0)).labels["train"].shape == (COUNTS["train"],)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [12, 9])
def test_a_file_is_resized_to_another_image_size(tmp_path, channels, size):
    """As antialiased bilinear interpolation of every image by itself, to the nearest byte or the next."""
    path = saved(tmp_path / "a.npz", **arrays(channels=channels))
    info = describe(str(path), size)
    assert info.image_size == size
    own, data = read_npz(path)[0], load(info)
    for split in SPLITS:
        assert data.images[split].shape == (COUNTS[split], size, size, channels)
        assert data.images[split].dtype == np.uint8
        for before, after in zip(own[split], data.images[split], strict=True):
            pixels = torch.from_numpy(before).permute(2, 0, 1)[None].double()
            wanted = torch.nn.functional.interpolate(pixels, size=(size, size), mode="bilinear", antialias=True)
            assert np.abs(wanted[0].permute(1, 2, 0).numpy() - after).max() <= 1


def test_the_fingerprint_changes_with_one_pixel_or_label_and_with_nothing_else(tmp_path):
    content = arrays()
    path = saved(tmp_path / "a.npz", **content)
    fingerprint = describe(str(path), 0).fingerprint
    copied = shutil.copy(path, tmp_path / "another name.npz")
    assert describe(str(copied), 0).fingerprint == describe(str(path), 16).fingerprint == fingerprint
    for name, array in content.items():
        other = array.copy()
        other.flat[-1] = 1 - min(other.flat[-1], 1)
        changed = saved(tmp_path / "b.npz", **{**content, name: other})
        assert describe(str(changed), 0).fingerprint != fingerprint


# --- MedMNIST -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "num_classes", "channels", "counts"),
    [
        ("pathmnist", 9, 3, (89996, 10004, 7180)),
        ("organamnist", 11, 1, (34561, 6491, 17778)),
        ("bloodmnist", 8, 3, (11959, 1712, 3421)),
    ],
)
def test_describe_knows_medmnist_without_a_network(name, num_classes, channels, counts):
    infos = {size: describe(name, size) for size in (28, 64, 128, 224)}
    for size, info in infos.items():
        assert (info.num_classes, info.num_channels, info.image_size) == (num_classes, channels, size)
        assert tuple(info.num_images[split] for split in SPLITS) == counts
    assert len({info.fingerprint for info in infos.values()}) == 4
    assert describe(name, 0) == infos[28]


@pytest.mark.parametrize("size", [32, 63, 256, -1])
def test_a_size_that_medmnist_does_not_publish(size):
    with pytest.raises(InputError, match=rf"image_size {size} of bloodmnist: .*28, 64, 128, 224"):
        describe("bloodmnist", size)


@pytest.mark.parametrize(
    ("name", "near"), [("pathmnits", "pathmnist"), ("BloodMNIST", "bloodmnist"), ("digit", "digits")]
)
def test_an_unknown_name_suggests_the_near_one(name, near):
    with pytest.raises(InputError, match=rf"unknown dataset '{name}'\. Did you mean '{near}'\?"):
        describe(name, 0)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("chestmnist", "chestmnist has 14 labels per image"),
        ("organmnist3d", "organmnist3d contains volumes"),
        ("zzz", "unknown dataset 'zzz'"),
        ("", "unknown dataset ''"),
    ],
)
def test_what_is_not_supported_is_refused_with_the_reason(name, why):
    with pytest.raises(InputError, match=why):
        describe(name, 0)


def test_a_home_of_nobody_is_one_sentence(monkeypatch):
    monkeypatch.setenv("MEDMNIST_ROOT", "~nobody-here/x")
    with pytest.raises(InputError, match="MEDMNIST_ROOT is ~nobody-here/x, but that user does not exist"):
        medmnist_root()


def test_the_folder_of_medmnist_may_begin_with_a_tilde(monkeypatch):
    monkeypatch.setenv("MEDMNIST_ROOT", "~/x")
    assert medmnist_root() == Path.home() / "x"


@pytest.fixture
def medmnist_file(tmp_path, monkeypatch) -> Path:
    """A small file in MedMNIST's layout under MEDMNIST_ROOT, its md5 written into the package's table."""
    monkeypatch.setenv("MEDMNIST_ROOT", str(tmp_path))
    path = saved(tmp_path / "bloodmnist_64.npz", **arrays(size=64, channels=3, column=True))
    digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setitem(medmnist.INFO["bloodmnist"], "MD5_64", digest)
    return path


@pytest.fixture
def requests(monkeypatch) -> list:
    """The addresses asked for; each request fails as it does without a network."""
    asked = []

    def refuse(request, *args, **kwargs):
        asked.append(getattr(request, "full_url", request))
        raise urllib.error.URLError("no network here")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    return asked


def test_load_reads_medmnists_file_through_its_package(medmnist_file, requests, monkeypatch):
    made = []

    class Recorded(medmnist.BloodMNIST):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            made.append((self.size, Path(self.root)))

    monkeypatch.setattr(medmnist, "BloodMNIST", Recorded)
    info = describe("bloodmnist", 64)
    data = load(info)
    images, labels = read_npz(medmnist_file)
    for split in SPLITS:
        assert np.array_equal(data.images[split], images[split])
        assert np.array_equal(data.labels[split], labels[split])
    assert made == [(64, medmnist_file.parent)] and requests == []
    assert info.fingerprint == "md5:" + medmnist.INFO["bloodmnist"]["MD5_64"]


def test_class_counts_are_those_of_the_train_split(medmnist_file, requests):
    """MedMNIST's file is opened for them, and only where they are asked for."""
    described = describe("bloodmnist", 64)
    _, labels = read_npz(medmnist_file)
    counted = with_class_counts(described)
    assert described.class_counts == () and requests == []
    assert counted.class_counts == tuple(int((labels["train"] == k).sum()) for k in range(described.num_classes))
    assert counted.identity == described.identity
    digits = describe("digits", 0)
    assert sum(digits.class_counts) == digits.num_images["train"] and with_class_counts(digits) is digits


@pytest.mark.parametrize("harm", ["changed", "cut", "missing"])
def test_a_file_without_medmnists_md5_is_an_input_error(medmnist_file, requests, harm):
    content = medmnist_file.read_bytes()
    if harm == "missing":
        medmnist_file.unlink()
    else:
        medmnist_file.write_bytes(content[:-1] + b"x" if harm == "changed" else content[:-100])
    with pytest.raises(InputError, match="MedMNIST's md5") as error:
        load(describe("bloodmnist", 64))
    assert medmnist_file.name in str(error.value) and str(medmnist_file.parent) in str(error.value)
    assert requests, "it tried to download the file again"
