"""Text from files and users: escaped where it is shown, harmless in a spreadsheet, printable in any encoding."""

import csv
import io
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from salun_grid.analysis.commands import write_report
from salun_grid.analysis.formats import FORMATS
from salun_grid.records.text import printable, spreadsheet_cell
from tests.support.commands import call
from tests.support.folders import make_grid, make_run, write_epochs, write_folder

HOSTILE = "a\x1b[31m\nforged: 9/9 jobs done\u202e\x9b2J"
CONTROLS = set(HOSTILE) - set(HOSTILE.encode("ascii", "ignore").decode().replace("\x1b", "").replace("\n", ""))
COLUMNS = ("dataset", "study", "protocol", "model", "augmentation", "device_name", "code_version", "command")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("text"), make_grid(methods=("retrain", "original", "salun")))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ± ä 患者 $x$", "plain ± ä 患者 $x$"),
        ("a\x1b[0m", r"a\x1b[0m"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\u202eabc\u2028", r"\u202eabc\u2028"),
        ("\udc80", r"\udc80"),
        ("\x85\x7f", r"\x85\x7f"),
    ],
)
def test_control_characters_are_escaped_and_nothing_else(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_no_control_character_of_a_row_reaches_a_terminal_a_page_or_a_figure(tmp_path: Path) -> None:
    hostile = dict.fromkeys(COLUMNS, HOSTILE)
    runs = [make_run(method=method, **hostile) for method in ("retrain", f"salun{HOSTILE}")]
    folder = write_folder(tmp_path / "out", runs)
    write_epochs(folder, runs)
    outputs = [call(word, folder, "--format", form).stdout for word in ("tables", "verdicts") for form in FORMATS]
    outputs += [call("compare", folder, folder).stdout, call("export", folder, "--no-predictions").stdout]
    outputs += [call("metrics", folder).stdout, write_report(str(folder)).read_text(encoding="utf-8")]
    svg = tmp_path / "figures" / "average_gap.svg"
    assert call("figure", folder, "--out", svg.parent).exit_code == 0
    ET.parse(svg)
    for text in [*outputs, svg.read_text(encoding="utf-8")]:
        assert text and CONTROLS.isdisjoint(text.replace("\n", ""))
        assert not any(line.startswith("forged") for line in text.splitlines())


@pytest.mark.usefixtures("blank_figures", "few_draws")
def test_no_control_character_of_a_path_or_a_study_reaches_a_message(tmp_path: Path) -> None:
    missing = call("tables", tmp_path / "no\nwhere\x1b")
    assert missing.stderr.count("Error:") == 1
    assert r"no\nwhere\x1b" in missing.stderr.splitlines()[-1]
    folder = write_folder(tmp_path / "out", make_grid())
    (folder / "studies").mkdir()
    study = '{"study": "x\\u001b\\nforged", "command": "run\\u001b", "evaluated": ["none"]}'
    (folder / "studies" / "a.json").write_text(study)
    text = write_report(str(folder)).read_text(encoding="utf-8")
    assert r"x\x1b\nforged" in text and "\x1b" not in text


@pytest.mark.parametrize(
    "cell",
    ["=1+1", "+cmd|' /C calc'!A0", "-2+3+cmd|x", "@SUM(A1)", "=HYPERLINK()", "+1.2 [=x]", "＝1", "-", "-salun"],
)
def test_what_a_spreadsheet_would_execute_follows_an_apostrophe(cell: str) -> None:
    assert spreadsheet_cell(cell) == f"'{cell}"


@pytest.mark.parametrize(
    "cell",
    ["-1.25", "+3", "-1e-05", "+1.20 [-3.00, +5.00]", "-1.00 ± 0.50 (-0.30; 0.30)", "1.5", "", "–", "salun", "a=b"],
)
def test_numbers_and_plain_text_stay_as_they_are(cell: str) -> None:
    assert spreadsheet_cell(cell) == cell


def test_csv_and_export_hold_no_formula_and_keep_their_numbers(tmp_path: Path) -> None:
    names = {"dataset": "=1+1", "augmentation": "@x", "study": "+x", "protocol": "-x"}
    folder = write_folder(tmp_path, make_grid(**names))
    for words in (("tables", "--format", "csv"), ("verdicts", "--format", "csv"), ("export", "--no-predictions")):
        _, *rows = csv.reader(io.StringIO(call(words[0], folder, *words[1:]).stdout))
        for cell in [cell for row in rows for cell in row]:
            assert not cell.startswith(("=", "@"))
            assert not cell.startswith(("+", "-")) or cell[1].isdigit()
    exported = list(csv.DictReader(io.StringIO(call("export", folder, "--no-predictions").stdout)))
    assert {row["dataset"] for row in exported} == {"'=1+1"}
    assert any(float(row["signed_gap"]) < 0 for row in exported if row["signed_gap"])


# --- the streams of the process ---------------------------------------------------------------------------


def process(*words: object, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", *map(str, words)]
    return subprocess.run(command, capture_output=True, env=os.environ | environment, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "encoding"), [("tables", "latin-1"), ("tables", "cp1252"), ("tables", "ascii"), ("verdicts", "latin-1")]
)
def test_an_encoding_without_our_signs_gives_replacements(folder: Path, command: str, encoding: str) -> None:
    done = process("salun_grid.analysis", command, folder, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert b"bloodmnist" in done.stdout
    assert b"?" in done.stdout or encoding == "ascii"  # click takes that for a mistake and writes UTF-8


@pytest.mark.slow
@pytest.mark.parametrize("words", [("tables",), ("tables", "--format", "csv")])
def test_a_reader_that_closes_the_pipe_ends_the_program_silently(folder: Path, words: tuple[str, ...]) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "salun_grid.analysis", *words, str(folder)]
    done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, check=False)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (1, b"")


def test_warnings_of_libraries_are_not_for_users_unless_they_ask() -> None:
    code = (
        "import logging, warnings, salun_grid.analysis.cli as cli\n"
        "cli.main(['--version'], standalone_mode=False)\n"
        "warnings.warn('of a library'); logging.getLogger('a.library').warning('also of a library')"
    )
    quiet = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert quiet.stderr == ""
    asked = subprocess.run([sys.executable, "-W", "default", "-c", code], capture_output=True, text=True, check=True)
    assert "of a library" in asked.stderr


def test_the_example_names_its_argument() -> None:
    example = Path(__file__).parents[2] / "examples" / "own_metric.py"
    done = subprocess.run([sys.executable, example], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage: own_metric.py" in done.stderr and "Traceback" not in done.stderr
