"""Dataset files that are wrong: each is an InputError that names the file, and none runs code."""

import io
import pickle
import random
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from salun_grid.records.errors import InputError
from salun_grid.records.npz import read_train_images
from salun_grid.trainables.data import SPLITS, describe, load, read_npz

COUNT = 6


def arrays(**changes: np.ndarray | None) -> dict[str, np.ndarray]:
    """A good file's arrays, two classes; `changes` replaces arrays by name, None leaves one out."""
    out: dict[str, np.ndarray | None] = {}
    for split in SPLITS:
        out[f"{split}_images"] = np.arange(COUNT * 64, dtype=np.uint8).reshape(COUNT, 8, 8)
        out[f"{split}_labels"] = np.arange(COUNT) % 2
    return {name: array for name, array in {**out, **changes}.items() if array is not None}


def saved(path: Path, **changes: np.ndarray | None) -> Path:
    np.savez(path, **arrays(**changes))
    return path


def assert_refused(path: Path, because: str | None = None) -> None:
    with pytest.raises(InputError, match=because) as error:
        read_npz(path)
    assert str(path) in str(error.value)
    with pytest.raises(InputError):
        describe(str(path), 0)


def test_the_good_file_is_read(tmp_path):
    """What each bad file below differs from."""
    assert set(read_npz(saved(tmp_path / "a.npz"))[0]) == set(SPLITS)


def test_train_images_alone_are_those_of_the_whole_file(tmp_path):
    path = saved(tmp_path / "a.npz")
    np.testing.assert_array_equal(read_train_images(path), read_npz(path)[0]["train"])


def test_train_images_alone_are_refused_where_their_entry_is_longer_than_their_header_says(tmp_path):
    path, content = tmp_path / "a.npz", io.BytesIO()
    np.save(content, arrays()["train_images"])
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train_images.npy", content.getvalue() + b"0")
    with pytest.raises(InputError, match="train_images declares"):
        read_train_images(path)


ARRAYS = {
    "no images": ("train_images", None, "train_images"),
    "no labels": ("val_labels", None, "val_labels"),
    "no test": ("test_images", None, "test_images"),
    "float images": ("train_images", np.zeros((COUNT, 8, 8)), "uint8"),
    "signed images": ("val_images", np.zeros((COUNT, 8, 8), np.int8), "uint8"),
    "wide images": ("test_images", np.zeros((COUNT, 8, 9), np.uint8), "square"),
    "four channels": ("train_images", np.zeros((COUNT, 8, 8, 4), np.uint8), "square"),
    "flat images": ("train_images", np.zeros((COUNT, 64), np.uint8), "square"),
    "a volume": ("train_images", np.zeros((COUNT, 8, 8, 8, 1), np.uint8), "square"),
    "a lone number": ("train_images", np.uint8(3), "square"),
    "images without pixels": ("train_images", np.zeros((COUNT, 0, 0), np.uint8), "square"),
    "no image": ("val_images", np.zeros((0, 8, 8), np.uint8), "N above 0"),
    "several labels": ("train_labels", np.zeros((COUNT, 2), np.int64), "2 labels per image"),
    "labels in a row": ("train_labels", np.zeros((1, COUNT), np.int64), "one whole number"),
    "too few labels": ("val_labels", np.zeros(COUNT - 1, np.int64), "each of the 6 images"),
    "too many labels": ("val_labels", np.zeros(COUNT + 1, np.int64), "each of the 6 images"),
    "float labels": ("test_labels", np.zeros(COUNT), "whole number"),
    "yes or no labels": ("test_labels", np.zeros(COUNT, bool), "whole number"),
    "text labels": ("test_labels", np.array(["a"] * COUNT), "whole number"),
    "negative labels": ("test_labels", np.array([-1, 0, 1, 0, 1, 0]), "counted from 0"),
    "huge labels": ("test_labels", np.array([2**63 + 1] * COUNT, np.uint64), "counted from 0"),
    "another size": ("val_images", np.zeros((COUNT, 9, 9), np.uint8), "differ in shape"),
    "other channels": ("test_images", np.zeros((COUNT, 8, 8, 3), np.uint8), "differ in shape"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_a_wrong_array_is_refused(tmp_path, case):
    name, array, because = ARRAYS[case]
    assert_refused(saved(tmp_path / "bad.npz", **{name: array}), because)


def test_one_class_only_is_refused(tmp_path):
    zeros = np.zeros(COUNT, np.int64)
    path = saved(tmp_path / "one.npz", train_labels=zeros, val_labels=zeros, test_labels=zeros)
    with pytest.raises(InputError, match="only one class") as error:
        describe(str(path), 0)
    assert str(path) in str(error.value)


# --- files that are no archive of arrays --------------------------------------------------------------------


def test_a_missing_file_or_a_folder_is_refused(tmp_path):
    assert_refused(tmp_path / "none.npz", "no dataset file")
    (tmp_path / "folder.npz").mkdir()
    assert_refused(tmp_path / "folder.npz", "no dataset file")


def test_a_file_gone_after_it_was_described_is_refused(tmp_path):
    path = saved(tmp_path / "a.npz")
    info = describe(str(path), 0)
    path.unlink()
    with pytest.raises(InputError, match=r"a\.npz"):
        load(info)


@pytest.mark.parametrize("content", [b"", b"\0", b"hello, world\n", b"PK\x03\x04", b"\x93NUMPY", bytes(5000)])
def test_a_file_that_is_not_a_zip_is_refused(tmp_path, content):
    path = tmp_path / "text.npz"
    path.write_bytes(content)
    assert_refused(path)


def test_a_single_array_under_the_name_of_an_archive_is_refused(tmp_path):
    path = tmp_path / "array.npz"
    with path.open("wb") as file:
        np.save(file, np.zeros((COUNT, 8, 8), np.uint8))
    assert_refused(path)


def test_an_archive_of_something_else_is_refused(tmp_path):
    path = tmp_path / "other.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name in arrays():
            archive.writestr(f"{name}.npy", b"not an array")
    assert_refused(path)


def test_an_array_that_claims_to_be_larger_than_memory_is_refused(tmp_path):
    path = tmp_path / "huge.npz"
    header = io.BytesIO()
    claim = {"descr": "|u1", "fortran_order": False, "shape": (10**14, 8, 8)}
    np.lib.format.write_array_header_1_0(header, claim)
    with zipfile.ZipFile(path, "w") as archive:
        for name in arrays():
            archive.writestr(f"{name}.npy", header.getvalue())
    assert_refused(path)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9, 0.99])
def test_a_truncated_file_is_refused(tmp_path, share):
    path = saved(tmp_path / "cut.npz")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert_refused(path)


@pytest.mark.parametrize(
    ("offset", "value"),
    [(8, 1), (10, 77)],
    ids=["encrypted", "unknown compression"],
)
def test_a_zip_that_cannot_be_unpacked_is_refused(tmp_path, offset, value):
    """A byte of each entry in the archive's directory says so; (8, 1) is its flags, (10, 77) its method."""
    path = saved(tmp_path / "zip.npz")
    content = bytearray(path.read_bytes())
    entry = content.find(b"PK\x01\x02")
    while entry >= 0:
        content[entry + offset] = value
        entry = content.find(b"PK\x01\x02", entry + 1)
    path.write_bytes(content)
    assert_refused(path)


def test_a_file_with_wrong_bytes_is_refused_or_read_as_it_was(tmp_path):
    """600 files with one to three random bytes changed: no other error, and never other pixels."""
    path = saved(tmp_path / "fuzz.npz")
    content, (images, labels) = path.read_bytes(), read_npz(path)
    rng, others = random.Random(0), []
    for _ in range(600):
        changed = bytearray(content)
        for _ in range(rng.randint(1, 3)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        path.write_bytes(changed)
        try:
            got_images, got_labels = read_npz(path)
        except InputError as error:
            assert str(path) in str(error)
        except Exception as error:
            others.append(f"{type(error).__name__}: {error}")
        else:
            assert all(np.array_equal(got_images[split], images[split]) for split in SPLITS)
            assert all(np.array_equal(got_labels[split], labels[split]) for split in SPLITS)
    assert others == []


# --- pickles ------------------------------------------------------------------------------------------------


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple:
        return Path.mkdir, (self.folder,)


@pytest.mark.parametrize("name", list(arrays()))
def test_a_pickle_in_an_array_is_refused_and_does_not_run(tmp_path, name):
    folder = tmp_path / "ran"
    path = saved(tmp_path / "evil.npz", **{name: np.array([Payload(folder)] * COUNT, dtype=object)})
    assert_refused(path, "pickled Python objects")
    assert not folder.exists()
    with np.load(path, allow_pickle=True) as file:
        file[name]
    assert folder.exists(), "the payload does run where pickles are allowed"


def test_a_pickle_under_the_name_of_an_archive_is_refused_and_does_not_run(tmp_path):
    folder, path = tmp_path / "ran", tmp_path / "evil.npz"
    path.write_bytes(pickle.dumps(Payload(folder)))
    assert_refused(path)
    assert not folder.exists()
    pickle.loads(path.read_bytes())
    assert folder.exists(), "the payload does run where pickles are allowed"


def test_a_file_that_inflates_beyond_the_memory_is_refused_before_it_is_inflated(tmp_path, monkeypatch):
    """By its headers: the archive is small, and nothing of it is read."""
    images = np.zeros((64, 256, 256), np.uint8)
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, **arrays(train_images=images, train_labels=np.arange(64) % 2))
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2**20))
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("inflated"))
    assert_refused(path, r"decompress to 0\.0 GiB and 2 copies are needed")


def test_a_file_that_may_not_be_read_is_not_called_broken(tmp_path, monkeypatch):
    """Root reads everything, so the operating system's answer is made here."""
    path = saved(tmp_path / "a.npz")

    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert_refused(path, "is not readable by this user; ask its owner")
