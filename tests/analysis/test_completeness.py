"""Missing, doubled and broken rows are named."""

import json
import math
import shutil
from pathlib import Path

import pytest

from salun_grid.analysis.cells import cells_of
from salun_grid.analysis.commands import load, tables_text, verdicts_text
from salun_grid.analysis.completeness import at_chance, coarse_metrics, missing_cells, nan_metrics, progress, remarks
from salun_grid.records.errors import InputError, ResultsWarning
from tests.support.folders import make_grid, make_run, write_folder


def test_a_whole_grid_misses_nothing() -> None:
    sound = {"num_forget": 500, "num_retain": 500, "ta": 90.0}
    assert remarks(cells_of(make_grid(rates=(0.1, 0.5), augmentations=("none", "default"), **sound))) == ""


def test_missing_cells_are_named_with_their_seeds_gathered() -> None:
    runs = make_grid(rates=(0.1, 0.5), augmentations=("none", "default"))

    def gone(run: dict) -> bool:
        cell = (run["method"], run["augmentation"], run["forget_rate"])
        return cell == ("salun", "default", 0.5) and run["seed"] in (0, 2)

    left = [run for run in runs if not gone(run)]
    assert missing_cells(cells_of(left)) == ["salun, bloodmnist 64px, default, forgetting 50%: seeds 0, 2"]
    assert "Missing: salun, bloodmnist 64px, default, forgetting 50%: seeds 0, 2." in remarks(cells_of(left))


def test_variants_and_data_sets_of_one_name_do_not_hide_what_the_other_lacks() -> None:
    retrains = [make_run(seed=s, method="retrain") for s in range(3)]
    variants = [make_run(seed=s, method_params=f'{{"epochs": {e}}}') for e, n in ((5, 3), (9, 1)) for s in range(n)]
    cell = "bloodmnist 64px, none, forgetting 10%"
    assert missing_cells(cells_of(retrains + variants)) == [f"salun epochs=9, {cell}: seeds 1, 2"]
    one, other = make_grid(dataset_fingerprint="md5:a"), make_grid(dataset_fingerprint="md5:b")
    (missing,) = missing_cells(cells_of(one + other[:-1]))
    assert missing.startswith("salun, bloodmnist #") and missing.endswith(": seed 2")


def test_datasets_need_not_have_the_same_axes() -> None:
    assert (
        missing_cells(cells_of(make_grid(("bloodmnist",), rates=(0.1,)) + make_grid(("pathmnist",), rates=(0.5,))))
        == []
    )


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("column", ["ua", "mia", "seconds_total"])
def test_what_is_no_number_is_named(column: str, value: float) -> None:
    runs = make_grid()
    runs[4] |= {column: value}
    method, seed = runs[4]["method"], runs[4]["seed"]
    assert nan_metrics(cells_of(runs)) == [f"{column} of {method}, bloodmnist 64px, none, forgetting 10%, seed {seed}"]


def test_missing_and_nan_stand_under_the_tables(tmp_path: Path) -> None:
    runs = make_grid()[:-1]
    runs[2] |= {"mia": math.nan}
    folder = str(write_folder(tmp_path, runs))
    for text in (tables_text(folder, "markdown"), verdicts_text(folder, "markdown")):
        assert "Missing: salun, bloodmnist 64px, none, forgetting 10%: seed 2." in text
        assert "Not a number: mia of salun, bloodmnist 64px, none, forgetting 10%, seed 0." in text


def test_a_metric_of_few_images_is_named_with_its_step() -> None:
    runs = make_grid(num_forget=6, num_retain=54, rates=(0.1, 0.5))
    assert coarse_metrics(cells_of(runs), margin=1.0) == [
        f"{metrics}, bloodmnist 64px, forgetting {rate}"
        for rate in ("10%", "50%")
        for metrics in ("UA and MIA by 16.7 (6 images)", "RA by 1.9 (54 images)")
    ]
    assert [name[:2] for name in coarse_metrics(cells_of(runs), margin=10.0)] == ["UA", "UA"]
    assert (
        coarse_metrics(cells_of(runs), margin=17.0)
        == coarse_metrics(cells_of(make_grid(num_forget=100, num_retain=900)), 1.0)
        == []
    )


@pytest.mark.parametrize(
    ("classes", "ta", "guesses"), [(8, 12.5, True), (8, 30.0, False), (2, 52.0, True), (2, 60, False)]
)
def test_models_no_better_than_guessing_are_named(classes: int, ta: float, guesses: bool) -> None:
    runs = make_grid(seeds=(0, 1), num_classes=classes, ta=90.0)
    spoilt = [run | {"ta": float(ta)} if run["method"] == "salun" else run for run in runs]
    cell = "salun, bloodmnist 64px, none, forgetting 10%: seeds 0, 1"
    assert at_chance(cells_of(spoilt)) == ([cell] if guesses else [])
    assert at_chance(cells_of([run | {"ta": math.nan} for run in runs])) == []


def test_few_images_and_chance_stand_under_tables_and_verdicts(tmp_path: Path) -> None:
    folder = str(write_folder(tmp_path, make_grid(ta=10.0)))
    for text in (tables_text(folder, "latex"), verdicts_text(folder, "latex")):
        assert "by more than the margin of $\\pm$1: UA and MIA by 33.3 (3 images)" in text
        assert "At chance" in text and "salun, bloodmnist 64px, none, forgetting 10\\%: seeds 0, 1, 2" in text
    assert "more than the margin" not in verdicts_text(folder, "latex", 40.0)


def test_a_row_that_is_there_twice_is_named(tmp_path: Path) -> None:
    runs = make_grid()
    folder = write_folder(tmp_path, runs)
    key = runs[3]["job_key"]
    shutil.copy(folder / "results" / "runs" / f"{key}.parquet", folder / "results" / "runs" / "copy.parquet")
    with pytest.raises(InputError, match="2 times") as raised:
        load(str(folder))
    assert key in str(raised.value)


def test_progress_counts_the_jobs_that_each_study_lists(tmp_path: Path) -> None:
    runs = make_grid()
    folder = write_folder(tmp_path, runs)
    (folder / "studies").mkdir()
    keys = [run["job_key"] for run in runs]
    for name, jobs in (("whole", keys), ("partial", [*keys[:4], "not landed"])):
        study = {"study": name, "command": f"salun-grid run {name}", "evaluated": jobs, "originals": []}
        (folder / "studies" / f"{name}.json").write_text(json.dumps(study))
    found = {p.study: (p.done, p.total) for p in progress(str(folder), runs)}
    assert found == {"whole": (9, 9), "partial": (4, 5)}


def test_a_folder_without_studies_does_not_say(tmp_path: Path) -> None:
    runs = make_grid()
    assert progress(str(write_folder(tmp_path, runs)), runs) == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"study": "x"}'])
def test_a_broken_study_file_is_named(tmp_path: Path, content: str) -> None:
    runs = make_grid()
    folder = write_folder(tmp_path, runs)
    (folder / "studies").mkdir()
    (folder / "studies" / "ab.json").write_text(content)
    with pytest.warns(ResultsWarning, match=r"ab\.json is damaged"):
        assert progress(str(folder), runs) == []
