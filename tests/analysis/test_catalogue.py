"""Contracts of every metric from predictions, run over the dictionary; and reading them from a folder."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from salun_grid.analysis.attacks import ATTACKS, Case, attack_scores
from salun_grid.analysis.catalogue import HEADLINE, METRICS, OF_CLASS, headline
from salun_grid.analysis.cells import cells_of
from salun_grid.analysis.evidence import Measured, Reader, Reference, measure, references_for
from salun_grid.analysis.metrics import Predictions
from salun_grid.analysis.references import References
from salun_grid.analysis.roc import auc, tpr_under_null
from salun_grid.analysis.scores import SCORES, log_odds
from salun_grid.records.errors import InputError, UndefinedError
from tests.support.folders import Run, make_grid, make_predictions, write_folder, write_predictions

SIZES = (60, 1100, 50)  # enough validation images to resolve a false positive rate of 0.1 %


def a_case(seed: int = 0, of_class: bool = False) -> Case:
    """A model that was to forget random images, or class 1."""
    model, retrain, *others = (make_predictions(seed + i, SIZES) for i in range(5))
    if of_class:
        model = replace(model, forgotten=model.labels["train"] == 1)
    rng = np.random.default_rng(seed)
    references = [
        Reference.of({"seed": i + 1}, replace(p, forgotten=rng.random(SIZES[0]) < 0.6)) for i, p in enumerate(others)
    ]
    return Case(model, retrain, references_for(0, model.forgotten, references, "val"))


@pytest.mark.parametrize("name", METRICS)
def test_each_metric_is_finite_and_names_its_unit_meaning_and_source(name: str) -> None:
    metric = METRICS[name]
    value = metric.compute(a_case(of_class=name == OF_CLASS))
    assert np.isfinite(value).all()
    assert isinstance(value, float) or value.shape == (4,)
    assert metric.meaning and any(character.isdigit() for character in metric.source)
    if metric.unit == "percent":
        assert (np.asarray(value) >= 0).all() and (np.asarray(value) <= 100).all()


@pytest.mark.parametrize("name", METRICS)
def test_no_metric_changes_what_it_is_given(name: str) -> None:
    case = a_case(of_class=name == OF_CLASS)
    before = {split: logits.copy() for split, logits in case.model.logits.items()}
    METRICS[name].compute(case)
    for split, logits in before.items():
        np.testing.assert_array_equal(case.model.logits[split], logits)


@pytest.mark.parametrize("name", METRICS)
def test_what_is_missing_is_named_and_never_a_number(name: str) -> None:
    """Without retrain and references, a metric has a value of the model alone or says what it misses."""
    bare = Case(a_case(of_class=name == OF_CLASS).model)
    try:
        alone = METRICS[name].compute(bare)
    except UndefinedError as error:
        assert "retrain" in str(error)
    else:
        np.testing.assert_array_equal(alone, METRICS[name].compute(a_case(of_class=name == OF_CLASS)))


def test_the_accuracy_on_a_forgotten_class_is_that_of_its_test_images() -> None:
    p = a_case(of_class=True).model
    hits = [
        int(logits.argmax()) == 1
        for logits, label in zip(p.logits["test"], p.labels["test"], strict=True)
        if label == 1
    ]
    assert METRICS[OF_CLASS].compute(Case(p)) == pytest.approx(100 * sum(hits) / len(hits))
    with pytest.raises(UndefinedError, match="no class was forgotten as a whole"):
        METRICS[OF_CLASS].compute(a_case())
    one_kept = p.forgotten.copy()
    one_kept[np.flatnonzero(one_kept)[0]] = False
    with pytest.raises(UndefinedError, match="no class was forgotten as a whole"):
        METRICS[OF_CLASS].compute(Case(replace(p, forgotten=one_kept)))
    without = replace(p, labels=p.labels | {"test": np.zeros_like(p.labels["test"])})
    with pytest.raises(UndefinedError, match="no test image of the forgotten class"):
        METRICS[OF_CLASS].compute(Case(without))


def test_it_is_a_headline_where_a_study_forgets_classes_and_not_otherwise() -> None:
    assert headline(["random", "class"]) == (*HEADLINE, OF_CLASS)
    assert headline(["random", "group"]) == HEADLINE


@pytest.mark.parametrize("name", ATTACKS)
def test_a_forgotten_class_is_attacked_against_unseen_images_of_the_class(name: str) -> None:
    """As if the file held no other validation and test images."""
    case = a_case(of_class=True)
    p, references = case.model, case.references
    assert references is not None
    own = {split: p.labels[split] == 1 for split in ("val", "test")}
    fewer = replace(
        p,
        logits={s: z[own[s]] if s in own else z for s, z in p.logits.items()},
        labels={s: y[own[s]] if s in own else y for s, y in p.labels.items()},
    )
    non_members, population = references.non_members[:, own["val"]], references.population[:, own["test"]]
    narrowed = Case(fewer, references=replace(references, non_members=non_members, population=population))
    for found, wanted in zip(case.scores(name), narrowed.scores(name), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert len(case.scores(name)[1]) == own["val"].sum() < len(own["val"])


def test_the_null_of_attacks_with_references_is_that_of_the_covered_images() -> None:
    case = a_case()
    covered = int(case.references.out.any(axis=0).sum())
    assert 0 < covered < case.model.forgotten.sum()
    found = METRICS["tpr1_null_high_covered"].compute(case)
    assert found == tpr_under_null(covered, len(case.model.labels["val"]), 0.01)[1]


def test_headline_metrics_are_of_the_dictionary() -> None:
    assert set(HEADLINE) <= set(METRICS)


def test_every_score_is_an_attack() -> None:
    assert set(SCORES) <= set(ATTACKS)


@pytest.mark.parametrize("name", SCORES)
def test_members_are_the_forgotten_images_and_validation_the_others(name: str) -> None:
    case = a_case()
    p = case.model
    score = SCORES[name](p.logits["train"], p.labels["train"])[p.forgotten]
    expected = auc(score, SCORES[name](p.logits["val"], p.labels["val"]))
    assert METRICS[f"auc_{name}"].compute(case) == expected
    members, others = attack_scores(replace(case, non_members="test"), SCORES[name])
    assert (len(members), len(others)) == (int(p.forgotten.sum()), 50)


# --- from a folder ----------------------------------------------------------------------------------------


@pytest.fixture
def runs() -> list[Run]:
    return make_grid(rates=(0.1, 0.5), seeds=(0, 1, 2), methods=("retrain", "retrain-again", "original", "salun"))


@pytest.fixture
def folder(tmp_path: Path, runs: list[Run]) -> Path:
    return write_folder(tmp_path / "out", runs)


def by_metric(found: list[Measured]) -> dict[tuple[str, str], float]:
    return {(m.cell.run["job_key"], m.metric): m.value for m in found if m.element is None}


def test_every_run_has_every_metric_or_a_reason(folder: Path, runs: list[Run]) -> None:
    found = list(measure(str(folder), cells_of(runs), list(METRICS)))
    assert {(m.cell.run["job_key"], m.metric) for m in found} == {
        (run["job_key"], name) for run in runs for name in METRICS
    }
    for m in found:
        assert np.isfinite(m.value) or m.reason or m.metric == "class_accuracy"
    (reason,) = {m.reason for m in found if m.metric == "tpr1_loss"}
    assert reason == "needs 100 non-members, there are 4"
    assert all(m.value == 1.0 for m in found if m.metric == "tow" and m.cell.run["method"] == "retrain")


def test_a_value_is_that_of_the_runs_own_predictions_and_retrain(folder: Path, runs: list[Run]) -> None:
    found = by_metric(list(measure(str(folder), cells_of(runs), ["js_forget", "auc_loss"])))
    number = {run["job_key"]: i for i, run in enumerate(runs)}
    for run in runs:
        case = Case(make_predictions(number[run["job_key"]]), make_predictions(number[run["retrain_key"]]))
        for name in ("js_forget", "auc_loss"):
            assert found[run["job_key"], name] == METRICS[name].compute(case)


def test_the_covered_part_can_be_asked_for_alone(folder: Path, runs: list[Run]) -> None:
    alone = by_metric(list(measure(str(folder), cells_of(runs), ["covered"])))
    together = by_metric(list(measure(str(folder), cells_of(runs), ["covered", "auc_lira"])))
    assert alone == {key: value for key, value in together.items() if key[1] == "covered"}
    assert all(0 <= value <= 100 for value in alone.values())


def test_nothing_covered_is_no_percent() -> None:
    case = a_case()
    assert case.references is not None
    references = replace(case.references, out=np.zeros_like(case.references.out))
    assert METRICS["covered"].compute(replace(case, references=references)) == 0.0


def test_a_logit_of_the_retrain_that_is_no_number_spoils_only_what_compares_with_it(
    folder: Path, runs: list[Run]
) -> None:
    broken = next(run for run in runs if run["method"] == "retrain")
    predictions = make_predictions(runs.index(broken))
    predictions.logits["val"][0, 0] = np.nan
    write_predictions(folder, broken["job_key"], predictions)
    names = ["auc_loss", "ece", "js_test", "auc_lira"]
    for one in measure(str(folder), cells_of(runs), names):
        if one.cell.run is broken:
            assert one.reason == "NaN or infinity among the logits"
        elif one.cell.run["retrain_key"] == broken["job_key"] and one.metric == "js_test":
            assert one.reason == "NaN or infinity among the logits of the retrain"
        else:
            assert np.isfinite(one.value), (one.metric, one.reason)


def test_references_are_retrains_of_other_seeds_and_every_rate(folder: Path, runs: list[Run]) -> None:
    found = by_metric(list(measure(str(folder), cells_of(runs), ["auc_lira"])))
    number = {run["job_key"]: i for i, run in enumerate(runs)}
    for run in runs:
        model = make_predictions(number[run["job_key"]])
        others = [
            make_predictions(number[other["job_key"]])
            for other in runs
            if other["method"] in ("retrain", "retrain-again") and other["seed"] != run["seed"]
        ]
        assert len(others) == 8
        odds = {
            s: np.stack([log_odds(o.logits[s], o.labels[s]).astype(np.float32) for o in others]) for s in model.logits
        }
        mine = model.forgotten
        out = np.stack([o.forgotten[mine] for o in others])
        references = References(odds["train"][:, mine], out, odds["val"], odds["test"])
        assert found[run["job_key"], "auc_lira"] == METRICS["auc_lira"].compute(Case(model, None, references))


def test_one_seed_has_no_references_and_says_so(tmp_path: Path, runs: list[Run]) -> None:
    alone = [run for run in runs if run["seed"] == 0]
    (reason,) = {
        m.reason for m in measure(str(write_folder(tmp_path, alone)), cells_of(alone), ["auc_rmia", "auc_lira"])
    }
    assert reason == "no retrain of another seed to serve as reference"


@pytest.mark.parametrize("axis", [{"augmentations": ("other",)}, {"datasets": ("other",)}], ids=str)
def test_models_of_another_block_are_no_references(tmp_path: Path, axis: dict) -> None:
    runs = make_grid(seeds=(0,)) + make_grid(seeds=(1,), **axis)
    found = list(measure(str(write_folder(tmp_path, runs)), cells_of(runs), ["auc_lira"]))
    assert all(m.reason for m in found)


def test_nan_logits_are_named(tmp_path: Path, runs: list[Run]) -> None:
    folder = write_folder(tmp_path, runs)
    salun = next(run for run in runs if run["method"] == "salun")
    broken = make_predictions(0)
    broken.logits["test"][0, 0] = np.nan
    write_predictions(folder, salun["job_key"], broken)
    found = list(measure(str(folder), cells_of(runs), ["ece", "auc_loss"]))
    bad = {m.cell.run["job_key"] for m in found if m.reason}
    assert bad == {salun["job_key"]}
    assert {m.reason for m in found if m.cell.run is salun} == {"NaN or infinity among the logits"}


def test_predictions_in_other_pieces_and_orders_give_the_same(folder: Path, runs: list[Run]) -> None:
    before = by_metric(list(measure(str(folder), cells_of(runs), ["auc_loss", "nll", "auc_lira"])))
    place = folder / "results" / "predictions"
    table = ds.dataset(place).to_table()
    shuffled = table.take(np.random.default_rng(0).permutation(len(table)))
    shutil.rmtree(place)
    place.mkdir()
    pq.write_table(shuffled, place / "all.parquet")
    assert by_metric(list(measure(str(folder), cells_of(runs), ["auc_loss", "nll", "auc_lira"]))) == pytest.approx(
        before
    )


def test_a_model_without_predictions_is_named(folder: Path, runs: list[Run]) -> None:
    key = runs[5]["job_key"]
    (folder / "results" / "predictions" / f"{key}.parquet").unlink()
    with pytest.raises(InputError, match="not a whole copy") as raised:
        list(measure(str(folder), cells_of(runs), ["nll"]))
    assert key in str(raised.value)


def test_predictions_cut_short_are_named(folder: Path, runs: list[Run]) -> None:
    key = runs[5]["job_key"]
    file = folder / "results" / "predictions" / f"{key}.parquet"
    table = pq.read_table(file)
    pq.write_table(table.slice(2), file)
    with pytest.raises(InputError, match="10 train images") as raised:
        list(measure(str(folder), cells_of(runs), ["nll"]))
    assert key in str(raised.value)


def test_predictions_come_back_as_they_were_written(folder: Path, runs: list[Run]) -> None:
    found: Predictions = Reader(str(folder)).read(runs[7])
    expected = make_predictions(7)
    for split in ("train", "val", "test"):
        np.testing.assert_array_equal(found.logits[split], expected.logits[split])
        np.testing.assert_array_equal(found.labels[split], expected.labels[split])
    np.testing.assert_array_equal(found.forgotten, expected.forgotten)
