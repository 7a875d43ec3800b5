"""`salun-grid data import` of a bad source, option or place: one sentence, exit status 2, nothing written."""

import subprocess
import sys
from pathlib import Path

import pytest

from salun_grid.grid.data_cli import data
from tests.support.commands import check_mistake
from tests.support.full_disk import no_file_larger_than
from tests.support.pictures import salun_grid_data, write_classes, write_picture


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classes(tmp_path_factory.mktemp("own") / "pictures", {"a": 40, "b": 60})


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
