"""Gaps, their averages and their pairing, with the paper's printed tables as the reference."""

import csv
import math
import random
import statistics
from pathlib import Path

import pytest

from salun_grid.analysis.cells import cells_of
from salun_grid.analysis.gaps import AVERAGES, PAPER_METRICS, gaps
from salun_grid.analysis.statistics import spread
from salun_grid.analysis.view import Results
from salun_grid.records.errors import InputError
from tests.support.folders import Run, make_grid, make_run

with Path(__file__).with_name("paper_tables.csv").open(newline="", encoding="utf-8") as file:
    PAPER_ROWS = list(csv.DictReader(file))
HALF_A_PRINTED_UNIT = 0.005 + 1e-9  # 0.535 is printed as 0.53, so the half itself must fit
AVERAGE_OF_TABLE = {"1": "ag", "2": "ag3"}


def name_of(row: dict[str, str]) -> str:
    return f"table {row['table']} {row['dataset']} {row['method']}"


def paper_run(row: dict[str, str]) -> Run:
    metrics = {name: float(row[name]) for name in PAPER_METRICS}
    rate, seconds = float(row["forget_rate"]), 60 * float(row["rte_minutes"])
    cell = {"dataset": row["dataset"], "forget_rate": rate, "augmentation": "default"}
    return make_run(method=row["method"], seconds_total=seconds, **cell, **metrics)


def paper_retrain_of(row: dict[str, str]) -> Run:
    (retrain,) = [
        other
        for other in PAPER_ROWS
        if (other["table"], other["dataset"], other["method"]) == (row["table"], row["dataset"], "retrain")
    ]
    return paper_run(retrain)


def test_paper_has_twelve_rows_in_six_pairs() -> None:
    found = sorted((row["table"], row["dataset"], row["method"]) for row in PAPER_ROWS)
    datasets = ("bloodmnist", "organamnist", "pathmnist")
    assert found == [(t, d, m) for t in ("1", "2") for d in datasets for m in ("retrain", "salun")]


@pytest.mark.parametrize("row", PAPER_ROWS, ids=name_of)
def test_average_gap_equals_the_papers_printed_one(row: dict[str, str]) -> None:
    found = gaps(paper_run(row), paper_retrain_of(row))
    assert abs(found[AVERAGE_OF_TABLE[row["table"]]] - float(row["ag_printed"])) <= HALF_A_PRINTED_UNIT


@pytest.mark.parametrize("row", [row for row in PAPER_ROWS if row["method"] == "salun"], ids=name_of)
def test_each_printed_table_fits_one_of_the_two_averages_only(row: dict[str, str]) -> None:
    found = gaps(paper_run(row), paper_retrain_of(row))
    (other,) = set(AVERAGES) - {AVERAGE_OF_TABLE[row["table"]]}
    assert abs(found[other] - float(row["ag_printed"])) > 10 * HALF_A_PRINTED_UNIT


def test_summaries_of_the_papers_rows_hold_its_averages() -> None:
    summaries = Results.of([paper_run(row) for row in PAPER_ROWS]).summaries
    by_cell = {(s.group.dataset, s.group.forget, s.method): s for s in summaries}
    assert len(by_cell) == 12
    for row in PAPER_ROWS:
        summary = by_cell[row["dataset"], f"random:{row['forget_rate']}", row["method"]]
        found = summary.gaps[AVERAGE_OF_TABLE[row["table"]]]
        assert abs(found.mean - float(row["ag_printed"])) <= HALF_A_PRINTED_UNIT
        assert summary.seconds_on["Some GPU"].mean / 60 == pytest.approx(float(row["rte_minutes"]))


def test_gaps_are_absolute_and_the_same_in_both_directions() -> None:
    a, b = make_run(ua=1.0, ra=90.0, ta=70.0, mia=5.0), make_run(ua=4.0, ra=80.0, ta=71.0, mia=3.0)
    expected = {"ua": 3.0, "ra": 10.0, "ta": 1.0, "mia": 2.0, "ag": 4.0, "ag3": 2.0}
    assert gaps(a, b) == pytest.approx(expected)
    assert gaps(b, a) == pytest.approx(expected)


def test_each_run_is_paired_with_the_retrain_that_its_key_names() -> None:
    runs = make_grid(rates=(0.1, 0.5), augmentations=("none", "default"))
    random.Random(0).shuffle(runs)
    cells = cells_of(runs)
    assert sorted(cell.run["job_key"] for cell in cells) == sorted(run["job_key"] for run in runs)
    for run, retrain in ((cell.run, cell.target) for cell in cells):
        assert retrain is not None
        assert (retrain["method"], retrain["job_key"]) == ("retrain", run["retrain_key"])
        for column in ("dataset", "forget", "augmentation", "seed"):
            assert retrain[column] == run[column]


def test_only_a_retrain_is_a_target_whatever_the_keys_say() -> None:
    other = make_run(method="retrain-again", job_key="a")
    assert [cell.target for cell in cells_of([make_run(retrain_key="a"), other])] == [None, None]


def test_a_retrain_of_another_cell_is_not_used() -> None:
    run, other_seed = make_run(seed=0), make_run(seed=1, method="retrain")
    by_method = {s.method: s for s in Results.of([run, other_seed]).summaries}
    assert by_method["salun"].gaps == {}
    assert by_method["salun"].ag_by_seed == {}


def test_a_seed_without_its_retrain_has_no_gap_and_is_not_counted_as_one() -> None:
    seeds = [0, 1, 2]
    runs = [make_run(seed=seed, ua=10.0 + seed) for seed in seeds]
    runs += [make_run(seed=seed, method="retrain", ua=10.0) for seed in seeds[1:]]
    salun = {s.method: s for s in Results.of(runs).summaries}["salun"]
    assert salun.seeds == (0, 1, 2)
    assert salun.values["ua"].n == 3
    assert (salun.gaps["ua"].n, salun.gaps["ua"].mean) == (2, 1.5)
    assert salun.ag_by_seed == pytest.approx({1: 0.25, 2: 0.5})


def test_gaps_are_taken_by_seed_before_they_are_averaged() -> None:
    runs = [make_run(seed=seed, ta=ta) for seed, ta in ((0, 60.0), (1, 80.0))]
    runs += [make_run(seed=seed, ta=70.0, method="retrain") for seed in (0, 1)]
    salun = {s.method: s for s in Results.of(runs).summaries}["salun"]
    assert salun.values["ta"].mean == 70.0
    assert (salun.gaps["ta"].mean, salun.gaps["ta"].sd) == (10.0, 0.0)


def two_pairs(*fingerprints: str) -> list[Run]:
    """A retrain and an unlearned model from each of two files of one name, with gaps of 2 and 7 points in UA."""
    runs = []
    for source, ua, fingerprint in zip("ab", (12.0, 17.0), fingerprints, strict=True):
        cell = {"dataset": "images", "dataset_fingerprint": fingerprint, "retrain_key": f"retrain {source}"}
        runs.append(make_run(method="retrain", job_key=f"retrain {source}", ua=10.0, **cell))
        runs.append(make_run(job_key=f"salun {source}", ua=ua, **cell))
    return runs


def test_two_jobs_of_one_cell_and_seed_are_refused() -> None:
    """Neither of the pairs is dropped, and they are not averaged."""
    with pytest.raises(InputError, match=r"seed 0 of retrain on images, .* is there twice; put results that are not"):
        assert Results.of(two_pairs("md5:a", "md5:a")).summaries


def test_files_of_one_name_are_two_datasets_where_their_content_differs() -> None:
    summaries = Results.of(two_pairs("md5:a", "md5:b")).summaries
    found = {s.group.dataset: s.gaps["ua"].mean for s in summaries if s.method == "salun"}
    assert len(found) == 2 and list(found.values()) == [2.0, 7.0]


@pytest.mark.parametrize("values", [[1.0, 4.0], [2.5, 2.5, 2.5], [0.1, 99.9, 50.0, 3.0]], ids=len)
def test_spread_is_mean_and_sample_standard_deviation(values: list[float]) -> None:
    found = spread(iter(values))
    assert found.mean == pytest.approx(statistics.mean(values))
    assert found.sd == pytest.approx(statistics.stdev(values))
    assert found.n == len(values)


def test_spread_of_one_value_has_no_standard_deviation() -> None:
    found = spread([3.5])
    assert (found.mean, found.n) == (3.5, 1)
    assert math.isnan(found.sd)


def test_summaries_spread_over_the_seeds() -> None:
    runs = make_grid(seeds=(0, 1, 2, 3))
    target = {run["seed"]: run for run in runs if run["method"] == "retrain"}
    for summary in Results.of(runs).summaries:
        own = {run["seed"]: run for run in runs if run["method"] == summary.method}
        assert summary.seeds == (0, 1, 2, 3)
        seconds = [run["seconds_total"] for run in own.values()]
        assert summary.seconds_on["Some GPU"].mean == pytest.approx(statistics.mean(seconds))
        for metric in PAPER_METRICS:
            differences = [abs(own[seed][metric] - target[seed][metric]) for seed in own]
            values = [run[metric] for run in own.values()]
            assert summary.values[metric].sd == pytest.approx(statistics.stdev(values))
            assert summary.gaps[metric].mean == pytest.approx(statistics.mean(differences))
            assert summary.gaps[metric].sd == pytest.approx(statistics.stdev(differences))
        for name, over in AVERAGES.items():
            by_seed = [statistics.mean(abs(own[s][m] - target[s][m]) for m in over) for s in sorted(own)]
            assert summary.gaps[name].sd == pytest.approx(statistics.stdev(by_seed))
            if name == "ag":
                assert list(summary.ag_by_seed.values()) == pytest.approx(by_seed)


def test_summaries_come_retrain_first_and_in_the_papers_order_of_augmentations() -> None:
    names = ("default+ra", "zoom", "default", "none")
    methods = ("salun", "finetune", "original", "retrain")
    runs = make_grid(("pathmnist", "bloodmnist"), (0.5, 0.1), names, (1, 0), methods)
    random.Random(1).shuffle(runs)
    found = [(s.group.dataset, s.group.augmentation, s.group.forget, s.method) for s in Results.of(runs).summaries]
    assert found == [
        (dataset, augmentation, f"random:{rate}", method)
        for dataset in ("bloodmnist", "pathmnist")
        for augmentation in ("none", "default", "default+ra", "zoom")
        for rate in (0.1, 0.5)
        for method in ("retrain", "original", "finetune", "salun")
    ]
