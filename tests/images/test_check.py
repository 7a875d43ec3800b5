"""`salun-grid data check`: the numbers of a file against its arrays, its contact sheet, and files in another layout."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from salun_grid.images.contact_sheet import COLUMNS, GAP, LABEL, LINE, MAX_ROWS, TILE, examples, sheet
from tests.support.commands import check_mistake
from tests.support.pictures import noise, salun_grid_data
from tests.support.small_data import write_small_npz

COUNTS = {"train": 12, "val": 4, "test": 6}


def arrays(side: int = 8, **changes: Any) -> dict[str, np.ndarray]:
    """A dataset of two classes; `changes` replace arrays, and None removes one."""
    found: dict[str, np.ndarray] = {"class_names": np.array(["healthy", "ill"])}
    for i, (split, count) in enumerate(COUNTS.items()):
        found[f"{split}_images"] = noise(i, count, side, side, 3)
        found[f"{split}_labels"] = np.arange(count)[:, None] % 2
        found[f"{split}_ids"] = np.array([f"{split}/{n}.png" for n in range(count)])
        found[f"{split}_groups"] = np.array([f"{split} P{n // 3}" for n in range(count)])
    return {name: array for name, array in (found | changes).items() if array is not None}


def write(path: Path, **changes: Any) -> Path:
    np.savez(path, **arrays(**changes))
    return path


def test_the_counts_of_a_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz")
    done = salun_grid_data("check", path)
    assert done.exit_code == 0 and done.stderr == "", done.output
    assert done.stdout.splitlines() == [
        f"file           {path}",
        f"fingerprint    sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}",
        "size           8 px, colour",
        "duplicates     0 images equal to an earlier one",
        "                train        val       test",
        "healthy             6          2          3",
        "ill                 6          2          3",
        "all images         12          4          6",
        "patients            4          2          2",
        f"contact sheet  {tmp_path / 'a_sheet.png'}",
    ]


def test_a_file_without_the_optional_arrays(tmp_path: Path) -> None:
    done = salun_grid_data("check", write_small_npz(tmp_path / "a.npz"), "--sheet", tmp_path / "b.png")
    assert done.exit_code == 0, done.output
    assert "size           8 px, grey" in done.stdout and "patients" not in done.stdout
    rows = [line.split() for line in done.stdout.splitlines()[5:8]]
    with np.load(tmp_path / "a.npz") as file:
        for row, label in zip(rows, "012", strict=True):
            expected = [str((file[f"{split}_labels"] == int(label)).sum()) for split in COUNTS]
            assert row == [label, *expected]
    with Image.open(tmp_path / "b.png") as page:
        assert page.height == LINE + 3 * (TILE + GAP) + GAP
    assert not (tmp_path / "a_sheet.png").exists()


def test_what_should_not_be_is_a_warning(tmp_path: Path) -> None:
    images = arrays()
    test = images["test_images"].copy()
    test[2], test[3] = images["train_images"][5], images["train_images"][5]  # of classes 0, 1 and 1
    groups = np.array(["train P1", *images["test_groups"][1:]])
    path = write(tmp_path / "a.npz", test_images=test, test_groups=groups, train_labels=np.zeros((12, 1), int))
    done = salun_grid_data("check", path)
    assert "duplicates     2 images equal to an earlier one" in done.stdout
    assert done.stderr.splitlines() == [
        "Warning: 1 patient with images in more than one split (train P1), so the splits are not independent; an "
        "import without --split-column splits by patient.",
        "Warning: 1 image with equal pixels in more than one split (3 copies in all): train/5.png (train) = test/2.png "
        "(test).",
        "Warning: 1 image with equal pixels in more than one class (3 copies in all): train/5.png (healthy) = "
        "test/3.png (ill).",
        "Warning: 1 class without a train image (ill); add some or leave it out.",
    ]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"val_images": None}, "has no array val_images"),
        ({"val_labels": None}, "has no array val_labels"),
        ({"val_images": np.zeros((4, 9, 9, 3), np.uint8)}, "differ in shape"),
        ({"val_ids": np.array(["a"])}, "val_ids must be one text for each of the 4 images"),
        ({"val_ids": np.arange(4)}, "val_ids must be one text for each of the 4 images, not int64 (4,)"),
        ({"test_groups": np.array([["a"] * 6])}, "test_groups must be one text"),
        ({"class_names": np.array(["healthy"])}, "has 1 class_names, but labels up to 1"),
        ({"class_names": np.array([1, 2])}, "class_names must be one text each"),
        ({"train_ids": np.array(["a"] * 12, object)}, "pickled Python objects"),
        ({"class_names": np.array([b"a", "b"], object)}, "pickled Python objects"),
    ],
)
def test_another_layout_is_named_and_nothing_written(changes: dict, sentence: str, tmp_path: Path) -> None:
    check_mistake(salun_grid_data("check", write(tmp_path / "a.npz", **changes)), sentence)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("file", ["none.npz", "", "x" * 5000, "a\0b", "."])
def test_no_such_file(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = salun_grid_data("check", file)
    assert result.exit_code == 2 and isinstance(result.exception, SystemExit), (result.output, result.exception)
    assert len([line for line in result.stderr.splitlines() if line.startswith("Error: ")]) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_broken_file_and_a_sheet_that_is_no_png(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz")
    check_mistake(salun_grid_data("check", path, "--sheet", tmp_path / "a.pdf"), "--sheet must be a path that ends in")
    path.write_bytes(path.read_bytes()[:300])
    check_mistake(salun_grid_data("check", path), "damaged or not an .npz file")
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


# --- the contact sheet ------------------------------------------------------------------------------------


def test_examples_are_spread_over_the_class() -> None:
    images, labels = noise(0, 30, 4, 4, 1), np.arange(30) % 3
    found = examples(images, labels, 1, 4)
    assert [int(np.flatnonzero((images == image).all((1, 2, 3)))[0]) for image in found] == [1, 10, 19, 28]
    assert len(examples(images, labels, 1, 20)) == 10 and examples(images, labels, 7, 3) == []


@pytest.mark.parametrize(("side", "channels"), [(8, 1), (64, 3), (200, 3)])
def test_each_image_has_its_place(side: int, channels: int) -> None:
    """Flat images, so that a place is its colour at any size."""
    shades = iter(range(10, 250, 5))
    flat = {
        (split, label): [np.full((side, side, channels), next(shades), np.uint8) for _ in range(2)]
        for split in COLUMNS
        for label in range(2)
    }
    page = np.asarray(Image.open(io.BytesIO(sheet(flat, ["a", "b"]))))
    left = LABEL
    for split, columns in COLUMNS.items():
        for label in range(2):
            for column in range(columns):
                y, x = LINE + label * (TILE + GAP), left + column * (TILE + GAP)
                place = page[y : y + TILE, x : x + TILE]
                shade = int(flat[split, label][column][0, 0, 0]) if column < 2 else 235
                assert (place == shade).all(), (split, label, column)
        left += columns * (TILE + GAP) + 2 * GAP


def test_many_classes_and_names_of_any_length_and_script() -> None:
    names = ["x" * 500, "\x1b[2J", "Gewebe ü", "腫瘍", "", *map(str, range(200))]
    page = Image.open(io.BytesIO(sheet({}, names)))
    assert page.height == LINE + MAX_ROWS * (TILE + GAP) + GAP
    left_of_first = np.asarray(page)[LINE : LINE + TILE, LABEL - GAP : LABEL]
    assert (left_of_first == 255).all()
