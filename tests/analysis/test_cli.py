"""The command line: each command writes what it says, and a mistake is one sentence and exit status 2."""

import ast
import csv
import io
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from salun_grid.analysis import cli
from salun_grid.analysis.catalogue import METRICS
from salun_grid.analysis.formats import FORMATS
from salun_grid.analysis.tables import COLUMNS
from tests.support.commands import call, check_mistake, contents
from tests.support.folders import damage_data, make_grid, write_folder

COMMANDS = ("verdicts", "tables", "metrics", "export", "figure", "report")
FIRST_WORDS = {"terminal": "Table 1.", "markdown": "### Table 1.", "csv": "Table,", "latex": r"\begin{table}"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "out", make_grid(rates=(0.1, 0.5), seeds=(0, 1)))


def test_formats_of_the_command_line_are_those_of_the_tables() -> None:
    assert list(cli.FORMATS) == list(FORMATS)


@pytest.mark.parametrize("form", FORMATS)
def test_tables_are_printed_in_each_format_and_nothing_is_written(folder: Path, form: str) -> None:
    before = contents(folder)
    result = call("tables", folder, "--format", form)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip().startswith(FIRST_WORDS[form])
    for word in ("bloodmnist", "retrain", "original", "salun"):
        assert word in result.stdout
    assert result.stderr == ""
    assert contents(folder) == before


@pytest.mark.parametrize("form", FORMATS)
def test_tables_in_a_file_are_those_on_the_terminal(folder: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / "table.txt"
    result = call("tables", folder, "--format", form, "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}\n"
    assert out.read_text(encoding="utf-8") == call("tables", folder, "--format", form).stdout


def test_tables_are_for_the_terminal_unless_told(folder: Path) -> None:
    assert call("tables", folder).stdout == call("tables", folder, "--format", "terminal").stdout


def test_tables_as_csv_have_a_row_for_each_method_and_rate(folder: Path) -> None:
    header, *rows = csv.reader(io.StringIO(call("tables", folder, "--format", "csv").stdout))
    assert header[1:] == COLUMNS
    assert [(row[0][:7], row[3]) for row in rows] == [
        (f"Table {number}", method) for number in (1, 2) for method in ("retrain", "original", "salun")
    ]


def test_metrics_say_what_they_are_and_why_some_have_no_value(folder: Path) -> None:
    result = call("metrics", folder, "--metric", "tpr1_loss", "--metric", "ece", "--format", "csv")
    header, *rows = csv.reader(io.StringIO(result.stdout))
    assert header[-3:] == ["tpr1_loss (%)", "ece (%)", "n"]
    assert len(rows) == 6
    assert all(row[-3] == "–" and float(row[-2].split()[0]) > 0 and row[-1] == "2" for row in rows)
    note = call("metrics", folder, "--metric", "tpr1_loss", "--format", "markdown").stdout
    assert "No tpr1_loss: needs 100 non-members, there are 4." in note


def test_metrics_are_listed_by_name(folder: Path) -> None:
    listed = call("metrics", folder, "--list").stdout
    assert [line.split()[0] for line in listed.splitlines()] == list(METRICS)


def test_the_list_of_metrics_needs_no_folder_and_anything_else_does() -> None:
    assert call("metrics", "--list").stdout == call("metrics", "somewhere", "--list").stdout
    check_mistake(call("metrics"), "Missing argument 'DIR'")


def test_an_unknown_metric_is_one_sentence(folder: Path) -> None:
    check_mistake(call("metrics", folder, "--metric", "auc_luck"), "auc_luck", "--list")


def test_tables_without_retrains_say_so(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, make_grid(methods=("original", "salun")))
    result = call("tables", folder)
    assert result.exit_code == 0
    assert "no retrain" in result.stdout


@pytest.mark.parametrize("elsewhere", [False, True])
def test_figure_writes_the_two_files_that_it_names(folder: Path, tmp_path: Path, elsewhere: bool) -> None:
    out = tmp_path / "some" / "pictures" if elsewhere else folder / "figures"
    result = call("figure", folder, *(["--out", out] if elsewhere else []))
    assert result.exit_code == 0, result.output
    named = [Path(line) for line in result.stdout.splitlines()]
    assert sorted(named) == sorted(out.iterdir())
    assert sorted(path.suffix for path in named) == [".png", ".svg"]
    for path in named:
        if path.suffix == ".png":
            assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        else:
            assert ET.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.usefixtures("blank_figures", "few_draws")
@pytest.mark.parametrize("elsewhere", [False, True])
def test_report_writes_the_page_that_it_names(folder: Path, tmp_path: Path, elsewhere: bool) -> None:
    out = tmp_path / "page.html" if elsewhere else folder / "report.html"
    before = contents(tmp_path)
    result = call("report", folder, *(["--out", out] if elsewhere else []))
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}\n"
    assert set(contents(tmp_path)) - set(before) == {out}
    text = out.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert text.rstrip().endswith("</html>")


# --- mistakes ---------------------------------------------------------------------------------------------


def missing(folder: Path) -> Path:
    return folder / "nowhere"


def empty(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def a_file(folder: Path) -> Path:
    return next((folder / "results" / "runs").glob("*.parquet"))


def corrupt(folder: Path) -> Path:
    for file in (folder / "results" / "runs").glob("*.parquet"):
        file.write_bytes(b"not Parquet")
    return folder


def last_file_corrupt(folder: Path) -> Path:
    max((folder / "results" / "runs").glob("*.parquet")).write_bytes(b"not Parquet")
    return folder


def damaged_data(folder: Path) -> Path:
    for file in (folder / "results" / "runs").glob("*.parquet"):
        damage_data(file)
    return folder


def of_another_version(folder: Path) -> Path:
    for file in (folder / "results" / "runs").glob("*.parquet"):
        table = pq.read_table(file)
        metadata = {**table.schema.metadata, b"schema_version": b"0"}
        pq.write_table(table.replace_schema_metadata(metadata), file)
    return folder


SPOILT = [missing, empty, a_file, corrupt, last_file_corrupt, damaged_data, of_another_version]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("spoil", SPOILT)
def test_bad_folders_are_one_sentence(folder: Path, command: str, spoil: Callable[[Path], Path]) -> None:
    spoilt = spoil(folder)
    before = contents(folder.parent)
    check_mistake(call(command, spoilt), str(spoilt))
    assert contents(folder.parent) == before


@pytest.mark.usefixtures("blank_figures", "few_draws")
@pytest.mark.parametrize("command", COMMANDS)
def test_what_cannot_be_written_is_one_sentence(folder: Path, command: str) -> None:
    (folder / "a file").write_text("text")
    before = contents(folder)
    out = folder / "a file" / "below"
    check_mistake(call(command, folder, "--out", out), "cannot write", str(folder / "a file"))
    assert contents(folder) == before


@pytest.mark.usefixtures("blank_figures", "few_draws")
@pytest.mark.parametrize("command", ["tables", "report", "export"])
def test_a_full_disk_is_one_sentence(folder: Path, command: str) -> None:
    check_mistake(call(command, folder, "--out", "/dev/full"), "cannot write /dev/full: No space left on device.")


def test_figure_without_retrains_is_one_sentence_and_makes_no_folder(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, make_grid(methods=("original", "salun")))
    before = contents(tmp_path)
    check_mistake(call("figure", folder), "retrain")
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "words",
    [("tables", "DIR", "--format", "pdf"), ("tables",), ("pictures", "DIR"), ("figure", "DIR", "--colour")],
    ids=" ".join,
)
def test_bad_words_are_one_sentence(folder: Path, words: tuple[str, ...]) -> None:
    before = contents(folder)
    check_mistake(call(*(str(folder) if word == "DIR" else word for word in words)))
    assert contents(folder) == before


# --- help -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_names_its_options(command: str) -> None:
    result = call(command, "--help")
    assert result.exit_code == 0
    for word in ("Usage:", "DIR", "--out", *(FORMATS if command in ("tables", "verdicts", "metrics") else ())):
        assert word in result.stdout


def test_help_names_every_command() -> None:
    result = call("--help")
    assert result.exit_code == 0
    assert all(command in result.stdout for command in COMMANDS)


def test_help_imports_nothing_slow() -> None:
    code = "import sys, salun_grid.analysis.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    found = set(done.stdout.split())
    assert "click" in found
    assert found.isdisjoint({"numpy", "pyarrow", "matplotlib", "sklearn", "rich"})


def imported_by(file: Path) -> set[str]:
    """The modules that a file imports, inside its functions too; ours without `salun_grid.`."""
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
    return {name.removeprefix("salun_grid.") for name in names}


def packages(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


@pytest.mark.parametrize("package", ["analysis", "records"])
def test_analysis_and_records_import_neither_torch_nor_ray(package: str) -> None:
    """Imports inside functions count too, but for psutil, which only the reading of a whole dataset needs."""
    files = sorted((Path(cli.__file__).parents[1] / package).rglob("*.py"))
    found = {file.name: packages(imported_by(file)) for file in files}
    assert "numpy" in set().union(*found.values())
    forbidden = {"torch", "torchvision", "ray", "medmnist", "safetensors", "grid", "trainables"}
    forbidden |= {"analysis"} if package == "records" else set()
    assert {name for name, modules in found.items() if modules & forbidden} == set()
