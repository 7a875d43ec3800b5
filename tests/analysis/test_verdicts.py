"""The primary question: each wording by rows made to meet it, the family, and the units it averages over."""

import json
import math

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from salun_grid.analysis.contrasts import contrasts_of
from salun_grid.analysis.outcomes import outcomes_in, scored_blocks
from salun_grid.analysis.verdict_tables import question_of
from salun_grid.analysis.verdicts import Verdict, overall, sentence, verdicts_of
from salun_grid.analysis.view import Results
from salun_grid.records.question import Question
from tests.support.folders import Run, make_run, write_folder

METRICS = ("ua", "ra", "ta", "mia")
RETRAIN = {"ua": 5.0, "ra": 80.0, "ta": 90.0, "mia": 10.0}
# A little scatter over the seeds, so that no test meets a zero variance.
SCATTER = (0.02, -0.03, 0.01, -0.01, 0.03, -0.02)
MIA = Question("mia")
MANY = {"num_forget": 10**7, "num_retain": 10**7}


def rows(method: str, seeds: int, offset: float = 0.0, scale: float = 1.0, **cell: object) -> list[Run]:
    """Rows whose four metrics lie `offset` above the retrain's, give or take the scatter."""
    values = [{m: v + offset + scale * SCATTER[s] for m, v in RETRAIN.items()} for s in range(seeds)]
    return [make_run(method=method, seed=s, **MANY | values[s] | cell) for s in range(seeds)]


def controls(seeds: int, no_op: float = 6.0, **cell: object) -> list[Run]:
    """Retrains, second retrains 0.1 away, and no-ops `no_op` away."""
    retrains = [make_run(method="retrain", seed=s, **MANY | RETRAIN | cell) for s in range(seeds)]
    return retrains + rows("retrain-again", seeds, 0.1, **cell) + rows("original", seeds, no_op, **cell)


def verdicts(runs: list[Run], question: Question = MIA) -> dict[str, Verdict]:
    found = scored_blocks(outcomes_in("", Results.of(runs).cells), question)
    return {v.contrasts.method: v for v in verdicts_of(contrasts_of(found), question)}


@pytest.fixture(autouse=True)
def without_predictions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("salun_grid.analysis.outcomes.has_rows", lambda folder, table: False)


def salun(runs: list[Run], question: Question = MIA) -> str:
    return verdicts(runs, question)["salun"].text


def test_closer_than_the_no_op_and_within_the_margin_passes() -> None:
    found = verdicts(controls(5) + rows("salun", 5, 0.3))["salun"]
    assert found.passes
    assert found.text == "better than the no-op; equivalent to retraining within ±1 point"


def test_closer_than_the_no_op_but_far_does_not_pass() -> None:
    found = verdicts(controls(5) + rows("salun", 5, 3.0))["salun"]
    assert not found.passes
    assert found.text == "better than the no-op; farther from retraining than 1 point"


def test_farther_than_the_no_op_is_worse() -> None:
    assert salun(controls(5) + rows("salun", 5, 9.0)).startswith("worse than the no-op; farther")


def test_where_the_no_op_is_equivalent_too_the_verdict_says_so() -> None:
    found = verdicts(controls(5, no_op=0.15) + rows("salun", 5, 0.15, scale=-1.0))["salun"]
    assert not found.passes
    assert found.text == "not shown to differ from the no-op; equivalent to retraining within ±1 point, as is the no-op"


def test_scatter_that_no_result_could_overcome_is_undecided() -> None:
    offsets = (0.1, 2.5, 0.2)
    runs = [rows("salun", 3, offset)[seed] for seed, offset in enumerate(offsets)]
    found = verdicts(controls(3) + runs)["salun"]
    assert found.undecided
    assert (
        found.against_retrain == f"undecided: this design could prove at best ±{found.provable:.2f} with these 3 seeds"
    )
    assert found.provable > 1.0
    assert "seeds would decide" in sentence(found) or "more seeds would not decide" in sentence(found)


def test_a_result_that_could_have_passed_is_not_shown_equivalent() -> None:
    found = verdicts(controls(5) + rows("salun", 5, 1.05, scale=6.0))["salun"]
    assert found.provable < 1.0
    assert found.against_retrain == "not shown equivalent to retraining within ±1 point"


def test_not_differing_is_not_called_no_better() -> None:
    """A perfect method whose scatter is wide is not said to be as bad as the no-op."""
    text = salun(controls(3, no_op=1.0) + rows("salun", 3, 0.1, scale=40.0))
    assert text.startswith("not shown to differ from the no-op; ")


def test_the_p_values_are_those_of_seeds_averaged_over_cells() -> None:
    """Written out with NumPy and SciPy: AG of each row, differences within a cell and seed, means over cells."""
    rng = np.random.default_rng(0)
    names = ("retrain", "retrain-again", "original", "salun")
    values = {(n, s, c): rng.normal(50, 3, 4) for n in names for s in range(4) for c in ("a", "b", "c")}
    runs = [
        make_run(method=n, seed=s, dataset=c, **MANY, **dict(zip(METRICS, map(float, v), strict=True)))
        for (n, s, c), v in values.items()
    ]

    def ag(name: str, seed: int, cell: str) -> float:
        return float(np.abs(values[name, seed, cell] - values["retrain", seed, cell]).mean())

    def over(control: str) -> list[float]:
        return [np.mean([ag("salun", s, c) - ag(control, s, c) for c in "abc"]) for s in range(4)]

    found = verdicts(runs)["salun"]
    assert found.contrasts.excess and found.contrasts.benefit
    assert found.contrasts.excess.mean == pytest.approx(np.mean(over("retrain-again")))
    assert found.contrasts.cells == 3 and found.contrasts.seeds == (0, 1, 2, 3)
    assert found.difference_p == pytest.approx(ttest_1samp(over("original"), 0.0).pvalue)
    above = ttest_1samp(over("retrain-again"), -1.0, alternative="greater").pvalue
    below = ttest_1samp(over("retrain-again"), 1.0, alternative="less").pvalue
    assert found.equivalence_p == pytest.approx(max(above, below))
    assert found.farther_p == pytest.approx(ttest_1samp(over("retrain-again"), 1.0, alternative="greater").pvalue)


def test_the_family_is_what_the_study_declared_not_what_is_there() -> None:
    runs = controls(4) + rows("salun", 4, 0.9, scale=5.0)
    alone, declared = verdicts(runs)["salun"], verdicts(runs, Question("mia", 1.0, ("salun", "scrub", "ssd")))["salun"]
    assert declared.family == 3
    assert declared.difference_p == pytest.approx(min(1.0, 3 * alone.difference_p))
    assert declared.equivalence_p == pytest.approx(min(1.0, 3 * alone.equivalence_p))
    assert declared.provable > alone.provable


def test_holm_corrects_over_methods_and_leaves_the_controls_alone() -> None:
    runs = controls(4)
    for i in range(4):
        runs += rows("salun", 4, 0.5 + i, scale=5.0 * (1 + i), method_params=f'{{"learning_rate": {i + 1}}}')
    found = verdicts(runs)
    assert len(found) == 6
    assert {v.family for v in found.values()} == {1, 4}
    assert found["original"].family == found["retrain-again"].family == 1


def test_a_seed_without_all_cells_is_left_out() -> None:
    runs = controls(4, dataset="a") + rows("salun", 4, 0.3, dataset="a")
    runs += controls(3, dataset="b") + rows("salun", 3, 0.3, dataset="b")
    found = verdicts(runs)["salun"]
    assert found.contrasts.seeds == (0, 1, 2)
    assert found.contrasts.left_out == (3,)
    assert found.contrasts.excess and found.contrasts.excess.n == 3


def test_a_cell_without_a_control_is_left_out() -> None:
    runs = controls(4, dataset="a") + rows("salun", 4, 0.3, dataset="a")
    other = controls(4, dataset="b") + rows("salun", 4, 7.0, dataset="b")
    found = verdicts(runs + [run for run in other if run["method"] != "retrain-again"])["salun"]
    assert (found.contrasts.cells, found.contrasts.uncontrolled) == (1, 1)
    assert found.passes


def test_missing_controls_are_named() -> None:
    runs = [run for run in controls(4) if run["method"] == "retrain"] + rows("salun", 4, 0.3)
    assert salun(runs) == (
        "no result of the no-op to compare with; no second retraining (retrain-again), so the excess AG is unknown"
    )


def test_one_seed_has_no_test_and_says_what_to_do() -> None:
    assert (
        salun(controls(1) + rows("salun", 1, 0.3)) == "one seed, no test; add a second; one seed, no test; add a second"
    )
    assert math.isnan(verdicts(controls(1) + rows("salun", 1, 0.3))["salun"].provable)


def test_a_nan_is_no_evidence() -> None:
    runs = controls(4) + rows("salun", 4, 0.3)
    runs[-1]["mia"] = math.nan
    assert salun(runs) == "NaN among the metrics, no test; NaN among the metrics, no test"


def test_equal_gaps_of_few_images_prove_nothing() -> None:
    """With 54 forgotten images the gaps of three seeds are often all 0; their error is that of 54 images."""
    few = {"num_forget": 54, "num_retain": 54}
    runs = [
        make_run(method=m, seed=s, **RETRAIN | few)
        for m in ("retrain", "retrain-again", "original", "salun")
        for s in range(3)
    ]
    found = verdicts(runs)["salun"]
    assert found.contrasts.excess and found.contrasts.excess.sd == 0
    assert found.difference_p == 1.0
    assert found.equivalence_p > 0.05


def test_the_sentences_put_those_that_pass_first_and_the_no_op_last() -> None:
    runs = controls(5) + rows("scrub", 5, 3.0) + rows("salun", 5, 0.3)
    lines = overall(list(verdicts(runs).values()))
    assert [line.partition(":")[0] for line in lines] == ["salun", "scrub", "original"]
    assert lines[0] == (
        "salun: better than the no-op (AG lower by 5.70 [5.69, 5.71] points); equivalent to retraining within ±1 point "
        "(excess AG +0.20 [+0.19, +0.21] points); n = 5 seeds × 1 cell."
    )


def test_the_declared_question_is_read_from_the_folder(tmp_path) -> None:

    folder = write_folder(tmp_path, controls(3) + rows("salun", 3, 0.3))
    assert question_of(str(folder)) == MIA, "without predictions the paper's attack stands in"
    (folder / "studies").mkdir()
    for name, started_at, question in (
        ("b", "2026-01-02", Question("mia", 9.0, ("scrub",))),
        ("a", "2026-01-01", Question("mia", 2.5, ("salun", "ssd"))),
    ):
        study = {"study": name, "command": "x", "rows": [], "started_at": started_at, "question": question.as_json()}
        (folder / "studies" / f"{name}.json").write_text(json.dumps(study))
    assert question_of(str(folder)) == Question("mia", 2.5, ("salun", "ssd", "scrub"))
    assert question_of(str(folder), 4.0).margin_points == 4.0
