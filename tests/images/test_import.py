"""`salun-grid data import`: the file that a folder or a table becomes, its warnings, and what is refused."""

import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from salun_grid.records.npz import SPLITS, read_npz
from salun_grid.trainables.data import describe, load
from tests.support.commands import check_mistake
from tests.support.installs import without_extra
from tests.support.pictures import arrays_of, noise, salun_grid_data, write_classes, write_picture, write_table

CLASSES = {"10 later": 20, "2 early": 30, "normal": 50}
ORDER = ["2 early", "10 later", "normal"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classes(tmp_path_factory.mktemp("own") / "pictures", CLASSES)


@pytest.fixture(scope="module")
def table(pictures: Path) -> Path:
    """Each patient has five images, whose classes differ."""
    paths = sorted(path.relative_to(pictures) for path in pictures.rglob("*.png"))
    rows = [f"pictures/{path.as_posix()},{path.parts[0]},P{i % 20}" for i, path in enumerate(paths)]
    return write_table(pictures.parent / "table.csv", rows)


def imported(out: Path, *words: object) -> dict[str, np.ndarray]:
    done = salun_grid_data("import", *words, "--out", out)
    assert done.exit_code == 0, done.output
    return arrays_of(out)


# --- the file ---------------------------------------------------------------------------------------------


def test_a_folder_becomes_the_pixels_labels_and_ids_of_its_files(pictures: Path, tmp_path: Path) -> None:
    found = imported(tmp_path / "a.npz", pictures, "--size", 16)
    assert set(found) == {f"{split}_{name}" for split in SPLITS for name in ("images", "labels", "ids")} | {
        "class_names"
    }
    assert found["class_names"].tolist() == ORDER
    seen = []
    for split, count in (("train", 70), ("val", 10), ("test", 20)):
        images, labels, ids = (found[f"{split}_{name}"] for name in ("images", "labels", "ids"))
        assert (images.dtype, images.shape, labels.dtype) == (np.uint8, (count, 16, 16, 3), np.uint8)
        assert labels.shape == (count, 1) and ids.dtype.kind == "U"
        for image, label, name in zip(images, labels[:, 0], ids, strict=True):
            assert name.split("/")[0] == ORDER[label]
            np.testing.assert_array_equal(image, np.asarray(Image.open(pictures / name)))
        seen += ids.tolist()
    assert sorted(seen) == sorted(path.relative_to(pictures).as_posix() for path in pictures.rglob("*.png"))


def test_a_table_gives_patients_and_no_patient_is_in_two_splits(table: Path, tmp_path: Path) -> None:
    found = imported(tmp_path / "a.npz", "--labels", table, "--patient-column", "patient", "--size", 8)
    splits_of = defaultdict(set)
    for split in SPLITS:
        assert len(found[f"{split}_groups"]) == len(found[f"{split}_ids"])
        for patient in found[f"{split}_groups"]:
            splits_of[patient].add(split)
    assert len(splits_of) == 20 and all(len(splits) == 1 for splits in splits_of.values())
    patient_of = {line.split(",")[0]: line.split(",")[2] for line in table.read_text().splitlines()}
    pairs = zip(found["test_ids"], found["test_groups"], strict=True)
    assert all(patient_of[name] == patient for name, patient in pairs)


def test_a_given_split_and_ids_are_kept(pictures: Path, tmp_path: Path) -> None:
    paths = sorted((pictures / "normal").iterdir()) + sorted((pictures / "2 early").iterdir())
    words = ["Train", "validation", "TEST", "training"]
    rows = [f"{path};{path.parent.name};ID{i};{words[i % 4]};x" for i, path in enumerate(paths)]
    table = write_table(tmp_path / "t.csv", rows, "file;finding;key;part;secret")
    columns = ("--image-column", "file", "--label-column", "finding", "--id-column", "key", "--split-column", "part")
    found = imported(tmp_path / "a.npz", "--labels", table, *columns, "--grey")
    names = {"train": "train", "validation": "val", "test": "test", "training": "train"}
    for split in SPLITS:
        expected = {f"ID{i}" for i in range(len(paths)) if names[words[i % 4].lower()] == split}
        assert set(found[f"{split}_ids"].tolist()) == expected
        assert found[f"{split}_images"].shape == (len(expected), 64, 64)
    assert not any("groups" in name for name in found)


def test_paths_of_a_table_are_relative_to_the_folder_if_one_is_given(pictures: Path, tmp_path: Path) -> None:
    rows = [rf"{path.parent.name}\{path.name},{path.parent.name}," for path in sorted(pictures.rglob("*.png"))]
    (path := tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(["image,label,note", *rows]).encode())
    found = imported(tmp_path / "a.npz", pictures, "--labels", path)
    assert sum(len(found[f"{split}_ids"]) for split in SPLITS) == 100
    assert (pictures / found["val_ids"][0]).is_file()


@pytest.mark.parametrize("grey", [(), ("--grey",)])
def test_the_file_is_a_dataset_of_the_grid(grey: tuple[str, ...], pictures: Path, tmp_path: Path) -> None:
    imported(tmp_path / "a.npz", pictures, "--size", 32, *grey)
    images, labels = read_npz(tmp_path / "a.npz")
    info = describe(str(tmp_path / "a.npz"), 0)
    assert info.num_images == {"train": 70, "val": 10, "test": 20} and info.class_counts == (21, 14, 35)
    assert (info.image_size, info.num_channels, info.num_classes) == (32, 1 if grey else 3, 3)
    np.testing.assert_array_equal(load(info).images["test"], images["test"])
    assert labels["train"].max() == 2


def test_more_than_256_classes_have_wider_labels(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    for i in range(900):
        os.link(tmp_path / "a.png", tmp_path / f"{i}.png")
    table = write_table(tmp_path / "t.csv", [f"{i}.png,{i % 300}" for i in range(900)], "image,label")
    found = imported(tmp_path / "a.npz", "--labels", table, "--size", 8, "--val", 0.3, "--test", 0.3)
    assert found["train_labels"].dtype == np.uint16 and found["train_labels"].max() == 299
    assert found["class_names"].tolist() == [str(i) for i in range(300)]


def test_the_same_seed_makes_the_same_bytes(table: Path, tmp_path: Path) -> None:
    def content(name: str, *words: object) -> bytes:
        imported(tmp_path / name, "--labels", table, "--patient-column", "patient", "--size", 8, *words)
        return (tmp_path / name).read_bytes()

    first = content("a.npz", "--seed", 3)
    assert content("b.npz", "--seed", 3, "--workers", 7) == first
    assert content("c.npz", "--seed", 4) != first


def test_the_order_of_rows_and_files_has_no_influence(table: Path, tmp_path: Path) -> None:
    header, *rows = table.read_text().splitlines()
    turned = write_table(table.parent / "turned.csv", rows[::-1], header)
    for name, source in (("a.npz", table), ("b.npz", turned)):
        imported(tmp_path / name, "--labels", source, "--patient-column", "patient", "--size", 8)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_the_command_works_without_the_extra(pictures: Path, tmp_path: Path) -> None:
    done = without_extra("data", "import", pictures, "--out", tmp_path / "a.npz")
    assert done.returncode == 0 and "next           salun-grid data check" in done.stdout, done.stderr
    done = without_extra("data", "check", tmp_path / "a.npz")
    assert done.returncode == 0 and (tmp_path / "a_sheet.png").exists(), done.stderr


# --- what the user is told --------------------------------------------------------------------------------


def test_the_output_of_a_folder(pictures: Path, tmp_path: Path) -> None:
    source = tmp_path / "pictures"
    source.symlink_to(pictures)
    (pictures / "normal" / "notes.txt").write_text("")
    (pictures / "normal" / ".DS_Store").write_text("")
    done = salun_grid_data("import", source, "--out", tmp_path / "my file.npz")
    (pictures / "normal" / "notes.txt").unlink()
    assert done.stdout.splitlines() == [
        f"images         100 from {source}",
        "classes        3: 2 early, 10 later, normal",
        "split          70 / 10 / 20 train / val / test, image by image",
        "size           64 px, colour",
        "note           1 other file left out (1 .txt)",
        "note           no patients are given, so images of one patient may be in several splits (--patient-column)",
        f"file           {tmp_path}/my file.npz",
        f"next           salun-grid data check '{tmp_path}/my file.npz'",
    ]
    assert done.stderr == ""


def test_patients_in_several_given_splits_are_reported(table: Path, tmp_path: Path) -> None:
    rows = [f"{line},{SPLITS[i % 3]}" for i, line in enumerate(table.read_text().splitlines()[1:])]
    split = write_table(table.parent / "split.csv", rows, "image,label,patient,split")
    columns = ("--patient-column", "patient", "--split-column", "split")
    done = salun_grid_data("import", "--labels", split, *columns, "--out", tmp_path / "a.npz")
    assert done.exit_code == 0 and (tmp_path / "a.npz").exists()
    assert "Warning: 20 patients with images in more than one split (P0, P1, P10, …)" in done.stderr
    assert "as given" in done.stdout


def test_duplicates_across_splits_and_classes_are_reported(tmp_path: Path) -> None:
    """Equal pixels, in files that differ."""
    write_classes(tmp_path / "own", {"a": 10, "b": 10})
    Image.open(tmp_path / "own/a/0.png").save(tmp_path / "own/b/copy.bmp")
    Image.open(tmp_path / "own/a/0.png").save(tmp_path / "own/b/other.tif")
    names = sorted(path.relative_to(tmp_path).as_posix() for path in (tmp_path / "own").rglob("*.*"))
    kinds = {"own/a/0.png": "test", "own/b/copy.bmp": "train", "own/b/other.tif": "val"}
    rows = [f"{name},{name.split('/')[1]},{kinds.get(name, 'train')}" for name in names]
    table = write_table(tmp_path / "t.csv", rows, "image,label,split")
    done = salun_grid_data("import", "--labels", table, "--split-column", "split", "--out", tmp_path / "a.npz")
    assert done.stderr.splitlines() == [
        "Warning: 1 image with equal pixels in more than one split (3 copies in all): own/a/0.png (test) = "
        "own/b/copy.bmp (train).",
        "Warning: 1 image with equal pixels in more than one class (3 copies in all): own/a/0.png (a) = "
        "own/b/copy.bmp (b).",
    ]


def test_a_class_without_train_images_is_reported(tmp_path: Path) -> None:
    write_classes(tmp_path / "own", {"a": 6, "b": 6})
    names = sorted(path.relative_to(tmp_path).as_posix() for path in (tmp_path / "own").rglob("*.png"))
    rows = [f"{name},{name.split('/')[1]},{'test' if '/b/' in name else SPLITS[i % 2]}" for i, name in enumerate(names)]
    table = write_table(tmp_path / "t.csv", rows, "image,label,split")
    done = salun_grid_data("import", "--labels", table, "--split-column", "split", "--out", tmp_path / "a.npz")
    assert done.stderr == "Warning: 1 class without a train image (b); add some or leave it out.\n"


def test_equal_rows_are_merged(pictures: Path, table: Path, tmp_path: Path) -> None:
    header, *rows = table.read_text().splitlines()
    twice = write_table(table.parent / "twice.csv", [*rows, *rows[:3]], header)
    done = salun_grid_data("import", "--labels", twice, "--out", tmp_path / "a.npz")
    assert "images         100 from" in done.stdout and "note           3 repeated rows merged" in done.stdout


def test_grey_images_and_dark_images_are_noted(tmp_path: Path) -> None:
    for i in range(20):
        (folder := tmp_path / "own" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(i, 16, 16, high=4096, dtype=np.uint16)).save(folder / f"{i}.png")
    peak = max(int(np.asarray(Image.open(path)).max()) for path in (tmp_path / "own").rglob("*.png"))
    done = salun_grid_data("import", tmp_path / "own", "--out", tmp_path / "a.npz")
    assert "no image has colour; --grey makes a file of a third of the size" in done.stdout
    assert f"20 images of 16-bit grey is {peak:,} of 65,535, so they are dark; --grey-range 0 {peak}" in done.stdout
    options = ("--grey", "--grey-range", 0, peak, "--out", tmp_path / "b.npz")
    done = salun_grid_data("import", tmp_path / "own", *options)
    assert "they are dark" not in done.stdout and "no image has colour" not in done.stdout
    assert arrays_of(tmp_path / "b.npz")["train_images"].max() > 240


def test_a_name_from_a_file_cannot_forge_a_line(tmp_path: Path) -> None:
    write_classes(tmp_path / "own", {"a\nfile  evil": 10, "b\x1b[2J": 10})
    done = salun_grid_data("import", tmp_path / "own", "--out", tmp_path / "a.npz")
    assert r"a\nfile  evil, b\x1b[2J" in done.stdout and "\x1b" not in done.stdout


def test_a_terminal_shows_progress_and_a_pipe_does_not(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert salun_grid_data("import", pictures, "--out", tmp_path / "a.npz").stderr == ""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    assert "100/100" in salun_grid_data("import", pictures, "--out", tmp_path / "b.npz").stderr


# --- broken pictures --------------------------------------------------------------------------------------


def spoil(root: Path) -> None:
    content = (root / "normal" / "7.png").read_bytes()
    (root / "normal" / "7.png").write_bytes(content[: len(content) // 2])
    (root / "2 early" / "3.png").write_text("not a picture")


def test_a_broken_picture_is_named_by_path(tmp_path: Path) -> None:
    spoil(write_classes(tmp_path / "own", CLASSES))
    result = salun_grid_data("import", tmp_path / "own", "--out", tmp_path / "new" / "a.npz")
    check_mistake(result, f"cannot read {tmp_path}/own/2 early/3.png: ", "--skip-broken")
    assert [path.name for path in tmp_path.iterdir()] == ["own"]


def test_broken_pictures_are_skipped_and_counted(tmp_path: Path) -> None:
    spoil(write_classes(tmp_path / "own", CLASSES))
    done = salun_grid_data("import", tmp_path / "own", "--out", tmp_path / "a.npz", "--skip-broken")
    assert done.exit_code == 0 and "images         98 from" in done.stdout
    assert "skipped        2 broken files: 2 early/3.png (" in done.stdout and "normal/7.png (" in done.stdout
    found = arrays_of(tmp_path / "a.npz")
    ids = [name for split in SPLITS for name in found[f"{split}_ids"]]
    assert len(ids) == 98 and not {"2 early/3.png", "normal/7.png"} & set(ids)
    for split in SPLITS:  # the rows stay with their ids
        for image, name in zip(found[f"{split}_images"], found[f"{split}_ids"], strict=True):
            expected = Image.open(tmp_path / "own" / name).resize((64, 64), Image.Resampling.BICUBIC)
            np.testing.assert_array_equal(image, np.asarray(expected))


def test_a_file_of_the_table_that_does_not_exist_is_broken(table: Path, tmp_path: Path) -> None:
    header, *rows = table.read_text().splitlines()
    more = write_table(table.parent / "more.csv", [*rows, "pictures/none.png,normal,P1"], header)
    result = salun_grid_data("import", "--labels", more, "--out", tmp_path / "a.npz")
    check_mistake(result, "pictures/none.png: there is no such file", "--skip-broken")
    done = salun_grid_data("import", "--labels", more, "--out", tmp_path / "a.npz", "--skip-broken")
    assert "skipped        1 broken file: pictures/none.png (there is no such file)" in done.stdout


def test_nothing_but_broken_pictures(tmp_path: Path) -> None:
    for i in range(20):
        (folder := tmp_path / "own" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        (folder / f"{i}.png").write_text("not a picture")
    result = salun_grid_data("import", tmp_path / "own", "--out", tmp_path / "a.npz", "--skip-broken")
    check_mistake(result, "none of the 20 images can be read", "a/0.png: it is not a JPEG")
