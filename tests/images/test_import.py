"""`salun-grid data import`: the file that a folder or a table becomes, its warnings, and what is refused."""

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from salun_grid.grid.data_cli import data
from salun_grid.records.npz import SPLITS, read_npz
from salun_grid.trainables.data import describe, load
from tests.support.commands import check_mistake
from tests.support.full_disk import no_file_larger_than
from tests.support.installs import without_extra
from tests.support.pictures import arrays_of, noise, salun_grid_data, write_classes, write_picture

CLASSES = {"10 later": 20, "2 early": 30, "normal": 50}
ORDER = ["2 early", "10 later", "normal"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classes(tmp_path_factory.mktemp("own") / "pictures", CLASSES)


def write_table(path: Path, rows: list[str], header: str = "image,label,patient") -> Path:
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return path


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


# --- bad input --------------------------------------------------------------------------------------------


def folder_of(tmp_path: Path, *paths: str) -> list[object]:
    for i, path in enumerate(paths):
        write_picture(tmp_path / "bad" / path, i, 8)
    (tmp_path / "bad").mkdir(exist_ok=True)
    return [tmp_path / "bad"]


def table_of(tmp_path: Path, text: str, *words: str) -> list[object]:
    (tmp_path / "t.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    for i in range(4):
        write_picture(tmp_path / f"{i}.png", i, 8)
    return ["--labels", tmp_path / "t.csv", *words]


ROWS = "image,label\n0.png,a\n1.png,b\n2.png,a\n3.png,b\n"
# Each makes the words of the command, and has what the sentence must say.
BAD = {
    "no folder": (lambda t: [t / "none"], "no folder at", "one sub-folder per class"),
    "a file as folder": (lambda t: table_of(t, ROWS)[1:], "no folder at"),
    "no source": (lambda t: [], "give a FOLDER"),
    "no images": (lambda t: folder_of(t), "has no images"),
    "no class folder": (lambda t: folder_of(t, "0.png", "1.png"), "2 images but no class folders"),
    "one outside": (lambda t: folder_of(t, "a/0.png", "b/1.png", "2.png"), "1 image in no class folder, such as 2.png"),
    "one class": (lambda t: folder_of(t, "a/0.png", "a/1.png"), "only the class 'a'"),
    "splits as classes": (lambda t: folder_of(t, "Train/a/0.png", "test/b/1.png"), "are splits (test, train)"),
    "too few": (lambda t: folder_of(t, "a/0.png", "b/1.png"), "too few for the split"),
    "columns without a table": (lambda t: [*folder_of(t, "a/0.png"), "--patient-column", "x"], "--patient-column"),
    "no table": (lambda t: ["--labels", t / "none.csv"], "cannot read the table", "No such file"),
    "folder as table": (lambda t: ["--labels", t], "cannot read the table", "directory"),
    "empty table": (lambda t: table_of(t, ""), "t.csv is empty"),
    "blank table": (lambda t: table_of(t, "\n \n"), "t.csv is empty"),
    "no rows": (lambda t: table_of(t, "image,label\n"), "t.csv has no rows"),
    "wrong column": (
        lambda t: table_of(t, ROWS, "--label-column", "lable"),
        "column for --label-column",
        "'lable'",
        "Did you mean 'label'?",
    ),
    "default column": (
        lambda t: table_of(t, ROWS.replace("image", "path")),
        "--image-column",
        "Choose from: path, label",
    ),
    "column twice": (lambda t: table_of(t, ROWS.replace("image,", "label,"), "--image-column", "label"), "2 columns"),
    "two labels": (
        lambda t: table_of(t, ROWS + "./0.png,b\n"),
        "row 6: the image '0.png' has the label 'b', but 'a' in an earlier row",
    ),
    "two patients": (
        lambda t: table_of(t, "image,label,p\n0.png,a,1\n0.png,a,2\n", "--patient-column", "p"),
        "row 3: the image '0.png' has the patient '2', but '1'",
    ),
    "two splits": (
        lambda t: table_of(t, "image,label,s\n0.png,a,train\n0.png,a,test\n", "--split-column", "s"),
        "row 3: the image '0.png' has the split 'test', but 'train'",
    ),
    "one id twice": (
        lambda t: table_of(t, "image,label,k\n0.png,a,1\n1.png,a,1\n", "--id-column", "k"),
        "row 3: the id '1' is that of another image too",
    ),
    "empty label": (lambda t: table_of(t, ROWS + "4.png, \n"), "row 6: the label is empty"),
    "empty patient": (
        lambda t: table_of(t, "image,label,p\n0.png,a,1\n1.png,b,\n", "--patient-column", "p"),
        "row 3: the patient is empty",
    ),
    "unknown split": (
        lambda t: table_of(t, "image,label,s\n0.png,a,holdout\n", "--split-column", "s"),
        "row 2: the split 'holdout' is none of train, val, test",
    ),
    "a split without images": (
        lambda t: table_of(t, "image,label,s\n0.png,a,train\n1.png,b,test\n", "--split-column", "s"),
        "has no image of the split val",
    ),
    "split and fractions": (
        lambda t: table_of(t, ROWS, "--split-column", "s", "--seed", "0"),
        "--seed has no meaning with --split-column",
    ),
    "short row": (lambda t: table_of(t, ROWS + "4.png\n"), "row 6 has 1 cell, but there are 2 columns"),
    "long label": (
        lambda t: table_of(t, f"{ROWS}4.png,{'x' * 2000}\n"),
        "row 6: the label",
        "more than 1,000 characters",
    ),
    "open quote": (lambda t: table_of(t, ROWS + '"4.png,a\n'), "is not a CSV file"),
    "a huge cell": (lambda t: table_of(t, f"{ROWS}4.png,{'x' * 200_000}\n"), "is not a CSV file"),
    "latin-1": (lambda t: table_of(t, ROWS + "\udce4.png,a\n"), "is not text in UTF-8"),
    "spreadsheet": (lambda t: table_of(t, "PK\x03\x04\x14\0\x06\0\udcff\udcfe"), "is not text in UTF-8"),
    "val": (lambda t: [*folder_of(t, "a/0.png"), "--val", "1.5"], "--val must be a fraction"),
    "grey range": (lambda t: [*folder_of(t, "a/0.png"), "--grey-range", "9", "9"], "--grey-range must be two numbers"),
    "nan range": (lambda t: [*folder_of(t, "a/0.png"), "--grey-range", "nan", "9"], "--grey-range must be two numbers"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_writes_nothing(case: str, tmp_path: Path) -> None:
    words, *expected = BAD[case]
    arguments = words(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    result = salun_grid_data("import", *arguments, "--out", tmp_path / "new" / "a.npz")
    check_mistake(result, *expected)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("out", "sentence"),
    [
        ("{tmp}/there.npz", "already exists and is not overwritten"),
        ("{tmp}/dangling.npz", "already exists and is not overwritten"),
        ("{tmp}/a.zip", "must be a path that ends in .npz"),
        ("{tmp}", "must be a path that ends in .npz"),
        ("s3://bucket/a.npz", "is not a local file"),
        ("", "must be a path"),
        ("a\0b.npz", "must be a path"),
        ("x" * 5000 + ".npz", "--out 'xxx"),
        ("/proc/new/a.npz", "/proc/new/a.npz"),
        ("{tmp}/there.npz/a.npz", "there.npz/a.npz"),
    ],
)
def test_an_out_file_that_cannot_be_written(out: str, sentence: str, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "there.npz").write_bytes(b"mine")
    (tmp_path / "dangling.npz").symlink_to(tmp_path / "none")
    result = salun_grid_data("import", pictures, "--out", out.format(tmp=tmp_path))
    check_mistake(result, sentence)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling.npz", "there.npz"]
    assert (tmp_path / "there.npz").read_bytes() == b"mine"


@pytest.mark.parametrize("room", [100_000, 100 * 64 * 64 * 3 + 100])
def test_a_full_disk_while_pixels_or_the_file_are_written(room: int, pictures: Path, tmp_path: Path) -> None:
    """The pixels of 100 images alone fit into the second; its file does not."""
    with no_file_larger_than(room):
        result = salun_grid_data("import", pictures, "--out", tmp_path / "a.npz")
    check_mistake(result, f"cannot write {tmp_path / 'a.npz'}: File too large")
    assert list(tmp_path.iterdir()) == []


LONG = "x" * 5000
OPTION_CASES = {
    "--labels": ["", LONG, "a\0b", "none.csv", "a\x1b[2J"],
    **{f"--{what}-column": [LONG, "\x1b"] for what in ("image", "label", "id", "split", "patient")},
    "--size": ["0", "7", "513", "x", "nan", LONG],
    "--fit": ["", "cover", LONG],
    "--grey-range": ["1", "nan", "x"],
    "--val": ["0", "1", "-1", "nan", "inf", "", "x", LONG],
    "--test": ["0", "1", "-1", "nan", "inf", "", "x", LONG],
    "--seed": ["-1", "2147483648", "0.5", "nan", "", "x", LONG],
    "--workers": ["0", "65", "x", ""],
}


@pytest.mark.parametrize(("option", "text"), [(name, text) for name, texts in OPTION_CASES.items() for text in texts])
def test_an_option(option: str, text: str, pictures: Path, tmp_path: Path) -> None:
    result = salun_grid_data("import", pictures, f"{option}={text}", "--out", tmp_path / "a.npz")
    assert result.exit_code == 2 and isinstance(result.exception, SystemExit), (result.output, result.exception)
    (sentence,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert sentence.isprintable() and list(tmp_path.iterdir()) == []


def test_every_option_has_its_cases() -> None:
    options = {option for each in data.commands["import"].params for option in each.opts if option.startswith("--")}
    assert options - {"--out", "--grey", "--skip-broken"} == set(OPTION_CASES)


@pytest.mark.parametrize(
    ("folder", "sentence"),
    [("", "FOLDER must be"), (LONG, "FOLDER 'xx"), ("a\0b", "FOLDER must be"), ("a", "no folder at")],
)
def test_a_folder_argument(folder: str, sentence: str, tmp_path: Path) -> None:
    check_mistake(salun_grid_data("import", folder, "--out", tmp_path / "a.npz"), sentence)


def test_an_interrupted_import_leaves_nothing(pictures: Path, tmp_path: Path) -> None:
    """Killed while it writes the pixels to their temporary file."""
    code = (
        "import os, signal, salun_grid.images.importing as it; from salun_grid.grid.cli import main\n"
        "it.write_archive = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\nmain()"
    )
    words = ["data", "import", str(pictures), "--out", str(tmp_path / "a.npz")]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, check=False)
    assert done.returncode == -9 and list(tmp_path.iterdir()) == []
