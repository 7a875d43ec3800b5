"""A study of every forget rule: what it publishes, what the analysis makes of it, and what it keeps to itself."""

import csv
import io
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from salun_grid.analysis.commands import export_text, metrics_text, tables_text, write_report
from salun_grid.analysis.commands import load as load_results
from salun_grid.analysis.evidence import Reader, cases
from salun_grid.analysis.results import find_files, read_file, read_runs
from salun_grid.grid.cli import main
from salun_grid.grid.plan import Plan, make_plan, missing_jobs
from salun_grid.grid.store import Store
from salun_grid.records.forget_label import forget_name, reference_group
from salun_grid.trainables.data import describe, load
from salun_grid.trainables.forget import ForgetSet, parse_rule
from tests.support.commands import check_mistake
from tests.support.forgetting import COUNTS, grouped_arrays, write_everything, write_grouped_npz
from tests.support.studies import run_without_ray, small_study

RULES = ("random:0.2", "class:1", "group:0.2", "group:p3,p7", "ids:by_id.csv", "memorized:0.1@models")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data, the lists, and a finished study of every rule in `out`."""
    folder = tmp_path_factory.mktemp("rules")
    write_everything(folder, describe(str(write_grouped_npz(folder / "grouped.npz")), 0).fingerprint)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_without_ray(planned(), Store("out"))
    return folder


@pytest.fixture
def out(place: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(place)
    return "out"


def planned() -> Plan:
    methods = ("retrain", "original", "finetune")
    return make_plan(small_study(Path("grouped.npz"), forget_sets=RULES, methods=methods, seeds=(0, 1, 2)))


def test_the_forgotten_images_of_every_row_are_those_of_its_rule(out: str) -> None:
    info, reader = describe("grouped.npz", 0), Reader(out)
    selections = {one.label: one for one in (parse_rule(text).on(info) for text in RULES)}
    runs = read_runs(out)
    assert len(runs) == len(RULES) * 3 * 3 and {run["forget"] for run in runs} == selections.keys()
    for run in runs:
        wanted = ForgetSet(selections[run["forget"]], run["seed"]).indices(load(info).train)
        assert np.flatnonzero(reader.read(run).forgotten).tolist() == wanted.tolist()
        assert run["num_forget"] == len(wanted)
        assert run["forget_rule"] == run["forget"].partition(":")[0]
        rates = {"random": 0.2, "memorized": 0.1}
        assert run["forget_rate"] == rates.get(run["forget_rule"])


def test_predictions_have_the_id_and_the_group_of_every_image(out: str) -> None:
    arrays, files = grouped_arrays(), find_files(out, "predictions")
    for path in files.paths:
        table = read_file(files, path, ["split", "index", "id", "group"]).to_pylist()
        assert len(table) == sum(COUNTS.values())
        for row in table:
            assert row["id"] == arrays[f"{row['split']}_ids"][row["index"]]
            assert row["group"] == arrays[f"{row['split']}_groups"][row["index"]]


def test_predictions_of_data_without_names_have_nulls(small_npz: Path, tmp_path: Path) -> None:
    run_without_ray(make_plan(small_study(small_npz, methods=("original",))), Store(str(tmp_path / "out")))
    files = find_files(tmp_path / "out", "predictions")
    (path,) = files.paths
    table = read_file(files, path, ["id", "group"])
    assert table["id"].null_count == table["group"].null_count == len(table) == 190


def test_the_same_study_has_the_same_keys_and_nothing_to_do(out: str) -> None:
    assert missing_jobs(planned(), Store(out)) == []


def test_no_row_and_no_command_has_a_group_or_an_id(out: str) -> None:
    """They are in predictions alone, where the docs say so."""
    hidden = [*grouped_arrays()["train_groups"].tolist(), *grouped_arrays()["train_ids"].tolist()]
    for run in read_runs(out):
        for value in map(str, run.values()):
            assert not set(value.replace(":", " ").replace(",", " ").replace("'", " ").split()) & set(hidden)
        if run["forget_rule"] == "group" and "#" in run["forget"]:
            assert "--forget group:ID,ID" in run["command"] and run["forget"].startswith("group:2#")


def test_tables_and_page_name_every_rule(out: str, place: Path) -> None:
    text, page = tables_text(out), write_report(out, place / "page.html").read_text()
    for run in read_runs(out):
        assert forget_name(run["forget"]) in text and forget_name(run["forget"]) in page
    assert "ta_forgotten" in page


def test_the_accuracy_on_the_forgotten_class_is_that_of_its_rows_alone(out: str) -> None:
    """Not a number, with the reason, for every other rule."""
    assert "ta_forgotten" in metrics_text(out, (), "val")
    rows = [row for row in csv.DictReader(io.StringIO(export_text(out, "val"))) if row["metric"] == "ta_forgotten"]
    reader, runs = Reader(out), {run["job_key"]: run for run in read_runs(out)}
    assert len(rows) == len(runs)
    for row in rows:
        if row["forget"] != "class:1":
            assert (row["value"], row["reason"]) == ("", "no class was forgotten as a whole")
            continue
        p = reader.read(runs[row["job_key"]])
        own = [z.argmax() == 1 for z, y in zip(p.logits["test"], p.labels["test"], strict=True) if y == 1]
        assert float(row["value"]) == pytest.approx(100 * sum(own) / len(own))


def test_references_are_retrains_of_comparable_forget_sets(out: str) -> None:
    """Retrains of another seed: of the same fixed images, or of the same kind of draw. Each is OUT where it forgot."""
    results = load_results(out)
    reader = Reader(out)
    for cell, case in cases(out, results.cells, ["covered"]):
        own = cell.run
        others = [
            reader.read(run)
            for run in results.runs
            if run["method"] == "retrain"
            and run["seed"] != own["seed"]
            and reference_group(run["forget"]) == reference_group(own["forget"])
        ]
        assert case.references is not None and len(others) == len(case.references.out) == 2
        images = np.flatnonzero(case.model.forgotten)
        assert case.references.out.tolist() == [[bool(o.forgotten[i]) for i in images] for o in others]
        if (own["forget_rule"] not in ("random",) and "#" in own["forget"]) or own["forget_rule"] == "class":
            assert case.references.out.all()


def test_group_draws_of_several_rates_serve_each_other_and_no_other_rule() -> None:
    assert reference_group("group:0.1") == reference_group("group:0.5") == "group"
    labels = ["random:0.1", "group:0.1", "class:1", "class:1,2", "group:1#0011", "group:1#0022"]
    labels += ["ids:a#0011", "memorized:0.1#0011"]
    assert len({reference_group(label) for label in labels}) == len(labels)


def test_forget_sets_are_named_for_a_reader() -> None:
    names = {
        "random:0.1": "10%",
        "class:1,4": "class 1,4",
        "group:0.1": "10% of groups",
        "group:1#1a2b3c4d": "1 group #1a2b3c4d",
        "group:12#1a2b3c4d": "12 groups #1a2b3c4d",
        "group": "group",
        "ids:request#1a2b3c4d": "ids request#1a2b3c4d",
        "memorized:0.1#1a2b3c4d": "memorized 0.1#1a2b3c4d",
    }
    assert {label: forget_name(label) for label in names} == names


def test_the_command_of_a_row_selects_the_same_images(out: str) -> None:
    info = describe("grouped.npz", 0)
    for run in read_runs(out):
        words = shlex.split(run["command"])
        text = words[words.index("--forget") + 1]
        if text != "group:ID,ID":
            assert parse_rule(text).on(info).label == run["forget"]


def test_status_is_told_no_id() -> None:
    """The summary of a run is a file of its folder."""
    study = small_study(Path("digits"), forget_sets=("random:0.1",))
    words = ("--dataset", "digits", "--forget", "group:p3,p7", "--forget", "random:0.1")
    plan = replace(make_plan(replace(study, datasets=("digits",))), study=replace(study, axis_words=words))
    assert plan.summary()["command"].endswith("--dataset digits --forget group:ID,ID --forget random:0.1")


BAD = {
    "class:melanom": "Did you mean 'melanoma'",
    "group:nobody": "have no train image",
    "ids:none.csv": "cannot read the list of ids",
    "memorized:0.1@none": "there is no folder none",
    "memorized:0.1": "needs a number and a results folder",
    "group:": "needs a rate between 0 and 1 or ids of groups",
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_rule_is_one_sentence_and_writes_nothing(text: str, out: str, tmp_path: Path) -> None:
    words = ["run", "demo", "--local", "--dataset", "grouped.npz", "--forget", text, "--out", str(tmp_path / "new")]
    result = CliRunner().invoke(main, words)
    check_mistake(result, BAD[text])
    assert not (tmp_path / "new").exists()


def test_a_method_for_whole_classes_is_refused_without_an_id(out: str) -> None:
    words = ["plan", "demo", "--dataset", "grouped.npz", "--forget", "group:p3", "--method", "unsir"]
    result = CliRunner().invoke(main, words)
    check_mistake(result, "the method unsir cannot forget group:ID")


def test_equal_selections_are_merged_with_a_note(out: str) -> None:
    plan = make_plan(small_study(Path("grouped.npz"), forget_sets=("ids:by_id.csv", "ids:by_index.csv", "class:1,1")))
    assert len({cell.forget.label for cell in plan.cells}) == 2
    assert any("has the same images as ids:by_id#" in note for note in plan.notes)
