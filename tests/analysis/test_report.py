"""The HTML page: it stands alone, it escapes what it shows, and each row's command is in it."""

import csv
import json
import math
import re
import shutil
from dataclasses import astuple
from pathlib import Path

import pytest

from salun_grid.analysis.commands import write_report
from salun_grid.analysis.completeness import remarks
from salun_grid.analysis.paper import PAPER, paper_table
from salun_grid.analysis.tables import Table, make_tables
from salun_grid.analysis.verdict_tables import answers, verdict_table
from salun_grid.analysis.verdicts import overall
from salun_grid.analysis.view import Results
from salun_grid.records.errors import InputError
from salun_grid.records.question import Question
from tests.support.folders import Run, make_grid, make_run, write_epochs, write_folder
from tests.support.html_page import Page, page_of

NAMES = ("dataset", "study", "protocol", "augmentation", "method", "device_name", "command")
HOSTILE = {column: f"<script>alert('{column}')</script>" for column in NAMES}


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    methods = ("retrain", "retrain-again", "original", "salun")
    grid = make_grid(rates=(0.1, 0.5), augmentations=("none", "default"), seeds=(0, 1), methods=methods)
    return [run | {"command": f"salun-grid run 'a b' --set x={n} && <{n}>"} for n, run in enumerate(grid)]


@pytest.fixture(scope="module")
def page(runs: list[Run], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Page]:
    folder = tmp_path_factory.mktemp("report")
    write_epochs(folder, runs)
    return page_of(folder, runs)


def test_page_is_whole_html(page: tuple[str, Page]) -> None:
    text, parsed = page
    assert text.lower().startswith("<!doctype html>")
    assert text.lower().count("<!doctype") == 1
    assert parsed.unbalanced == []
    assert parsed.open == []
    for tag in ("html", "head", "title", "body", "h1", "script"):
        assert len(parsed.texts[tag]) == 1, tag
    assert "<?xml" not in text


def test_page_refers_to_no_other_host(page: tuple[str, Page]) -> None:
    text, parsed = page
    for tag, attributes in parsed.tags:
        assert tag not in {"link", "iframe", "object", "embed", "base"}
        if tag == "script":
            assert attributes == {}
        for name, value in attributes.items():
            if name.startswith("xmlns"):  # names that nothing fetches
                continue
            if tag == "img" and name == "src":
                assert value.startswith("data:image/png;base64,")
                continue
            assert "//" not in value, (tag, name, value)
            if name in {"href", "xlink:href", "src"}:
                assert value.startswith("#")
            assert not name.startswith("on")
    for style in parsed.texts["style"]:
        assert "//" not in style
        assert "@import" not in style
    assert not re.search(r"url\(\s*['\"]?(?!#)", text)


def test_every_id_is_there_once_and_every_reference_meets_one(page: tuple[str, Page]) -> None:
    text, parsed = page
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(ids)
    assert {value[1:] for _, a in parsed.tags for name, value in a.items() if name.endswith("href")} <= set(ids)


def shown(table: Table) -> list[list[str]]:
    return [[" ".join(cell.split()) for cell in row] for row in table.rows]


def test_the_verdict_comes_first_then_its_table_then_the_others(
    page: tuple[str, Page], runs: list[Run], tmp_path: Path
) -> None:
    text, parsed = page
    results = Results.of(runs)
    summaries, provenance, flaws = results.summaries, results.provenance, remarks(results.cells)
    verdicts, explored = answers(str(write_folder(tmp_path, runs)), results, Question())
    assert not explored
    assert parsed.texts["p"][:2] == overall(verdicts)
    assert parsed.table("Verdicts") == shown(verdict_table(verdicts, Question(), provenance))
    for table in make_tables(summaries, provenance, flaws):
        assert parsed.table(table.title) == shown(table)
        assert table.note in parsed.texts["small"]
    places = [text.index(f"<h2>{heading}") for heading in ("Verdicts", "Table 1.", "Table 2.", "Figure 2")]
    assert places == sorted(places)


def test_the_papers_numbers_stand_beside_ours(page: tuple[str, Page], runs: list[Run]) -> None:
    _, parsed = page
    rows = parsed.table("Tables 1 and 2 of the paper, and ours")
    assert len(rows) == len(PAPER)
    for row, printed in zip(rows, PAPER, strict=True):
        assert float(row[4].split(" | ")[0]) == printed.ua
        ours = row[4].split(" | ")[1]
        assert (ours == "–") == (printed.dataset != "bloodmnist")
    salun = [r for r in runs if (r["method"], r["augmentation"], r["forget_rate"]) == ("salun", "default", 0.1)]
    (row,) = [r for r in rows if r[:4] == ["1", "bloodmnist 64px, paper", "10%", "salun"]]
    mean = sum(run["ta"] for run in salun) / 2
    assert row[6].startswith(f"98.89 | {mean:.2f} ± ")
    assert row[-1] == "1 | 2"


def test_each_variant_of_a_method_stands_beside_the_papers_row() -> None:
    cell = {"dataset": "bloodmnist", "augmentation": "default"}
    variants = [make_run(seed=0, method_params=f'{{"epochs": {e}}}', ua=float(e), **cell) for e in (5, 9)]
    rows = paper_table(Results.of([make_run(seed=0, method="retrain", **cell), *variants]).summaries).rows
    found = {row[3]: row[4] for row in rows if row[1].startswith("bloodmnist 64px") and row[2] == "10%"}
    assert found["salun epochs=5"] == "0.00 | 5.00"
    assert found["salun epochs=9"] == "0.00 | 9.00"


def test_the_papers_numbers_are_those_of_its_tables() -> None:
    with Path(__file__).with_name("paper_tables.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = ("ua", "ra", "ta", "mia", "ag_printed", "rte_minutes")
    expected = [
        (int(row["table"]), row["dataset"], float(row["forget_rate"]), row["method"], *(float(row[n]) for n in names))
        for row in rows
    ]
    assert [astuple(row) for row in PAPER] == expected


FIGURES = ["AG by augmentation", "AG against RTE", "signed gaps, ", "training curves", "ROC curves, "]


def test_page_holds_each_figure_with_a_caption(page: tuple[str, Page]) -> None:
    _, parsed = page
    labels = [attributes["aria-label"] for _, attributes in parsed.tags if "aria-label" in attributes]
    assert [label[: len(name)] for label, name in zip(labels, FIGURES, strict=True)] == FIGURES
    assert len(parsed.texts["svg"]) == len(FIGURES)
    assert all(parsed.texts["figcaption"])


def test_figures_are_drawn_in_the_pages_own_ink(page: tuple[str, Page]) -> None:
    text, _ = page
    assert "#000000" not in text
    assert text.count("currentColor") > 50


def test_every_row_and_curve_comes_in_the_order_of_the_tables(page: tuple[str, Page]) -> None:
    """And not in that of the files, which is that of hashes."""
    text, parsed = page
    methods = ["retrain", "retrain-again", "original", "salun"]
    cells = [(a, r) for a in ("none", "default") for r in ("10%", "50%")]
    rows = [(row[1], row[3], row[2], row[4]) for row in parsed.table("Every row")]
    assert rows == [(a, r, m, s) for a, r in cells for m in methods for s in "01"]
    titles = [text.index(f"{a}, {r}: {attack}") for a, r in cells for attack in ("loss", "rmia")]
    assert titles == sorted(titles)


def test_page_includes_the_command_and_hardware_of_every_row(page: tuple[str, Page], runs: list[Run]) -> None:
    _, parsed = page
    rows = parsed.table("Every row")
    assert sorted(row[-1] for row in rows) == sorted(run["command"] for run in runs)
    assert all(row[5] == "Some GPU" and "torch 2.9.0" in row[7] for row in rows)


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Page]:
    """A page of two rows with a script in each of NAMES."""
    folder = tmp_path_factory.mktemp("hostile")
    runs = [make_run(method="retrain") | HOSTILE | {"method": "retrain"}, make_run() | HOSTILE]
    write_epochs(folder, runs)
    return page_of(folder, runs)


@pytest.mark.parametrize("column", NAMES)
def test_page_escapes_names(hostile_page: tuple[str, Page], column: str) -> None:
    text, parsed = hostile_page
    assert HOSTILE[column] not in text
    assert len(parsed.texts["script"]) == 1
    assert parsed.unbalanced == []
    everything = [content for contents in parsed.texts.values() for content in contents]
    assert any(HOSTILE[column] in content for content in everything)


def test_page_without_retrains_says_so(tmp_path: Path) -> None:
    runs = make_grid(methods=("original", "salun"))
    _, parsed = page_of(tmp_path, runs)
    assert "salun: no retrain to compare with; n = 0 seeds × 0 cells." in parsed.texts["p"]
    assert any(text.startswith("No figures of gaps: ") for text in parsed.texts["p"])
    assert any(text.startswith("No training curves: ") for text in parsed.texts["p"])


@pytest.mark.usefixtures("blank_figures", "few_draws")
def test_page_of_a_running_study_says_how_far_it_is(tmp_path: Path, runs: list[Run]) -> None:
    runs = runs[:8]
    landed = runs[:5]
    (tmp_path / "studies").mkdir()
    study = {"study": "big", "command": "salun-grid run big", "evaluated": [run["job_key"] for run in runs]}
    (tmp_path / "studies" / "ab.json").write_text(json.dumps(study))
    _, parsed = page_of(tmp_path, landed)
    assert parsed.texts["p"][0].startswith("Partial: 5 of 8 evaluated models of big are done.")
    assert f"`salun-grid run big --out {tmp_path}` resumes it" in parsed.texts["p"][0]
    assert any(text.startswith("Missing: ") for text in parsed.texts["p"])
    _, parsed = page_of(tmp_path, runs)
    assert not any(text.startswith("Partial") for text in parsed.texts["p"])


def test_page_of_a_study_of_which_no_model_is_evaluated_yet(tmp_path: Path, runs: list[Run]) -> None:
    """Its originals train: a sentence and their curves, and no verdict."""
    write_epochs(tmp_path, runs)
    with pytest.raises(InputError, match="holds no runs yet"):
        write_report(str(tmp_path))
    (tmp_path / "studies").mkdir()
    study = {"study": "big", "command": "salun-grid run big", "evaluated": [run["job_key"] for run in runs]}
    (tmp_path / "studies" / "ab.json").write_text(json.dumps(study))
    parsed = Page(write_report(str(tmp_path)).read_text(encoding="utf-8"))
    assert parsed.texts["h1"] == ["Unlearning results: big"]
    assert parsed.texts["p"][0].startswith("Partial: 0 of 32 evaluated models of big are done.")
    assert parsed.texts["h2"] == ["Training curves"]


@pytest.mark.usefixtures("blank_figures", "few_draws")
def test_page_without_any_predictions_says_so_and_with_some_is_refused(tmp_path: Path, runs: list[Run]) -> None:
    folder = write_folder(tmp_path, runs[:4])
    files = sorted((folder / "results" / "predictions").iterdir())
    files[0].unlink()
    with pytest.raises(InputError, match="not a whole copy"):
        write_report(str(folder))
    assert not (folder / "report.html").exists()
    shutil.rmtree(folder / "results" / "predictions")
    parsed = Page(write_report(str(folder)).read_text(encoding="utf-8"))
    assert any(text.startswith("No metrics from predictions") for text in parsed.texts["p"])


@pytest.mark.parametrize("spoil", [{"mia": math.nan}, {"seconds_total": 0.0}, {"ua": math.inf}], ids=str)
def test_odd_numbers_stop_no_page(tmp_path: Path, spoil: dict) -> None:
    runs = make_grid()
    runs[2] |= spoil
    _, parsed = page_of(tmp_path, runs)
    assert parsed.unbalanced == []
    named = any(text.startswith("Not a number: ") for text in parsed.texts["p"])
    assert named == (not all(map(math.isfinite, spoil.values())))
