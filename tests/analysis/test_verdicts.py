"""Each rule of the verdicts, by rows made to meet it; and that no rule claims more than the seeds allow."""

import math

import pytest

from salun_grid.analysis.verdicts import MIN_SEEDS, Verdict, judge, overall
from salun_grid.analysis.view import Results
from tests.support.folders import Run, make_run

RETRAIN = {"ua": 5.0, "ra": 99.0, "ta": 90.0, "mia": 10.0}
# A little scatter over the seeds, so that no test meets a zero variance.
SCATTER = (0.02, -0.03, 0.01, -0.01, 0.03, -0.02)


def rows(method: str, seeds: int, offset: float = 0.0, **cell: object) -> list[Run]:
    """Rows whose four metrics lie `offset` above the retrain's, give or take the scatter."""
    return [
        make_run(method=method, seed=s, **{m: v + offset + SCATTER[s] for m, v in RETRAIN.items()} | cell)
        for s in range(seeds)
    ]


def retrains(seeds: int, **cell: object) -> list[Run]:
    return [make_run(method="retrain", seed=s, **RETRAIN | cell) for s in range(seeds)]


def verdicts(runs: list[Run], margin: float = 1.0) -> dict[str, Verdict]:
    return {v.summary.method: v for v in judge(Results.of(runs).summaries, margin)}


def salun(runs: list[Run], margin: float = 1.0) -> str:
    return verdicts(runs, margin)["salun"].text


def test_close_to_the_retrain_on_every_metric_is_indistinguishable() -> None:
    runs = retrains(5) + rows("salun", 5) + rows("original", 5, offset=6.0)
    assert salun(runs) == "indistinguishable from retraining at ±1 point, n = 5"


def test_when_doing_nothing_is_as_close_the_verdict_says_so() -> None:
    runs = retrains(5) + rows("salun", 5) + rows("original", 5, offset=0.1)
    assert salun(runs) == "indistinguishable from retraining at ±1 point, but so is the no-op, n = 5"


@pytest.mark.parametrize("spread", [0.0, 0.4, 0.8, 1.2])
def test_whoever_does_nothing_is_never_praised_for_it(spread: float) -> None:
    """Rows that copy the original's, over cells of growing scatter; many pass the tests, none without the caveat."""
    runs: list[Run] = []
    for i in range(6):
        runs += retrains(5, dataset=f"set{i}")
        same = rows("original", 5, dataset=f"set{i}")
        for run in same:
            run["ua"] += spread * (1 + i / 6) * 30 * SCATTER[run["seed"]]
        runs += same + [make_run(**{m: run[m] for m in ("dataset", "seed", *RETRAIN)}) for run in same]
    texts = [v.text for v in judge(Results.of(runs).summaries) if v.summary.method == "salun"]
    for text in texts:
        assert "but so is the no-op" in text or text == "no better than the no-op, n = 5"


@pytest.mark.parametrize(("offset", "benefit"), [(0.7, "not shown better"), (0.9, "no better")])
def test_close_but_no_closer_than_doing_nothing_says_so(offset: float, benefit: str) -> None:
    """The original's UA scatters too widely to pass itself, with an AG of 0.8 points."""
    scattered = (0.0, 6.0, -1.0, 4.0, -5.0)
    original = [run | {"ua": run["ua"] + scattered[run["seed"]]} for run in rows("original", 5)]
    text = salun(retrains(5) + rows("salun", 5, offset) + original)
    assert text == f"indistinguishable from retraining at ±1 point, but {benefit} than the no-op, n = 5"


def test_close_without_original_says_what_is_missing() -> None:
    text = salun(retrains(5) + rows("salun", 5) + rows("original", 2, offset=6.0))
    missing = "too few seeds of `original` to compare with the no-op"
    assert text == f"indistinguishable from retraining at ±1 point, n = 5; {missing}"


def test_equal_averages_are_no_lead_whatever_the_order_of_their_sum() -> None:
    """AG of gaps 8/120 and 7/120 is that of 7/120 and 8/120, but for rounding."""
    one, other = 100 * 8 / 120, 100 * 7 / 120
    runs = retrains(3)
    for method, ua, ra in (("salun", one, other), ("original", other, one)):
        runs += [make_run(method=method, seed=s, **RETRAIN | {"ua": 5 + ua, "ra": 99 - ra}) for s in range(3)]
    assert salun(runs) == "no better than the no-op, n = 3"


def test_the_floors_beside_a_verdict_are_of_its_own_seeds() -> None:
    runs = retrains(5) + rows("salun", 3, offset=3.0) + rows("original", 5, offset=6.0)
    runs = [run | {"ua": 90.0} if (run["method"], run["seed"]) == ("original", 4) else run for run in runs]
    verdict = verdicts(runs)["salun"]
    assert verdict.nothing and verdict.nothing.n == 3
    assert verdict.nothing.mean == pytest.approx(6.0)
    fewer = [run for run in runs if (run["method"], run["seed"]) != ("original", 0)] + rows("salun", 5, offset=3.0)[3:]
    assert salun(fewer).endswith("n = 5, 4 of them beside `original`")


@pytest.mark.parametrize("metric", RETRAIN)
def test_one_metric_beyond_the_margin_is_enough(metric: str) -> None:
    far = [run | {metric: run[metric] - 2.0} for run in rows("salun", 5)]
    text = salun(retrains(5) + far + rows("original", 5, offset=6.0))
    assert text == "better than the no-op, but not shown equal to retraining at ±1 point, n = 5"


def test_the_margin_decides() -> None:
    runs = retrains(5) + rows("salun", 5, offset=1.5) + rows("original", 5, offset=6.0)
    assert "not shown equal to retraining at ±1 point" in salun(runs, margin=1.0)
    assert salun(runs, margin=2.0) == "indistinguishable from retraining at ±2 points, n = 5"


def test_as_far_as_doing_nothing_is_no_better() -> None:
    runs = retrains(4) + rows("salun", 4, offset=6.0) + rows("original", 4, offset=5.0)
    assert salun(runs) == "no better than the no-op, n = 4"


def test_a_lead_smaller_than_its_scatter_is_not_shown() -> None:
    noisy = [run | {"mia": run["mia"] + 12 * (-1) ** run["seed"]} for run in rows("salun", 4, offset=6.0)]
    nothing = [run | {"mia": run["mia"] + 24 * (run["seed"] % 2)} for run in rows("original", 4, offset=6.0)]
    assert salun(retrains(4) + noisy + nothing) == "not shown better than the no-op, n = 4"


@pytest.mark.parametrize("seeds", [1, 2])
def test_one_or_two_seeds_say_nothing_however_close(seeds: int) -> None:
    runs = retrains(seeds) + rows("salun", seeds) + rows("original", seeds, offset=50.0)
    for verdict in verdicts(runs).values():
        assert verdict.text == f"too few seeds to say (n = {seeds}; {MIN_SEEDS} are needed)"
        assert math.isnan(verdict.equivalence_p)
        assert math.isnan(verdict.benefit_p)


def test_seeds_without_their_retrain_do_not_count() -> None:
    runs = retrains(2) + rows("salun", 5) + rows("original", 5, offset=6.0)
    assert salun(runs) == f"too few seeds to say (n = 2; {MIN_SEEDS} are needed)"


def test_without_retrains_there_is_nothing_to_compare_with() -> None:
    assert salun(rows("salun", 5) + rows("original", 5)) == "no retrain to compare with"


def test_without_enough_of_original_the_verdict_says_so() -> None:
    text = salun(retrains(4) + rows("salun", 4, offset=3.0) + rows("original", 2, offset=6.0))
    assert text.startswith("not shown equal to retraining")
    assert text.endswith("too few seeds of `original` to compare with the no-op")


def test_a_nan_is_named() -> None:
    runs = retrains(4) + rows("salun", 4) + rows("original", 4, offset=6.0)
    spoilt = [run | {"mia": math.nan} if (run["method"], run["seed"]) == ("salun", 2) else run for run in runs]
    assert salun(spoilt) == "cannot say: NaN among the metrics, n = 4"


def test_a_nan_of_original_alone_is_named_too() -> None:
    runs = retrains(4) + rows("salun", 4, offset=3.0) + rows("original", 4, offset=6.0)
    spoilt = [run | {"mia": math.nan} if (run["method"], run["seed"]) == ("original", 2) else run for run in runs]
    unequal = "not shown equal to retraining at ±1 point, n = 4"
    assert salun(spoilt) == f"{unequal}; NaN among the metrics of `original`, no comparison with the no-op"


def test_controls_are_judged_against_the_retrain_only() -> None:
    runs = retrains(4) + rows("original", 4, offset=6.0) + rows("retrain-again", 4)
    found = verdicts(runs)
    assert found["original"].text == "not shown equal to retraining at ±1 point, n = 4"
    assert found["retrain-again"].text == "indistinguishable from retraining at ±1 point, n = 4"


def test_many_cells_make_the_same_gaps_harder_to_call_equal() -> None:
    """Holm: with 200 cells the smallest p counts 200-fold."""
    noisy = {0: 0.55, 1: -0.5, 2: 0.45, 3: -0.4}
    cell = [run | {m: run[m] + noisy[run["seed"]] for m in RETRAIN} for run in rows("salun", 4)]
    assert salun(retrains(4) + cell).startswith("indistinguishable")
    many = [
        make_run(**{name: run[name] for name in ("method", "seed", *RETRAIN)}, dataset=f"set{i}")
        for i in range(200)
        for run in [*retrains(4), *cell]
    ]
    found = judge(Results.of(many).summaries)
    assert len(found) == 200
    assert {v.text.split(",")[0] for v in found} != {"indistinguishable from retraining at ±1 point"}


def test_each_verdict_has_the_floors_of_its_own_cell_beside_it() -> None:
    runs: list[Run] = []
    for augmentation, offset in (("none", 6.0), ("default", 8.0)):
        runs += retrains(3, augmentation=augmentation) + rows("salun", 3, augmentation=augmentation)
        runs += rows("original", 3, offset=offset, augmentation=augmentation)
    by_cell = {
        v.summary.group.augmentation: v for v in judge(Results.of(runs).summaries) if v.summary.method == "salun"
    }
    assert by_cell["none"].nothing and by_cell["none"].nothing.mean == pytest.approx(6.0)
    assert by_cell["default"].nothing and by_cell["default"].nothing.mean == pytest.approx(8.0)
    assert by_cell["none"].noise is None


def test_overall_counts_the_verdicts_of_each_method() -> None:
    runs = retrains(4) + rows("salun", 4) + rows("original", 4, offset=6.0)
    runs += retrains(2, dataset="other") + rows("salun", 2, dataset="other")
    (line,) = overall(judge(Results.of(runs).summaries))
    assert line.startswith("salun: ")
    assert "in 1 of 2 cells indistinguishable from retraining at ±1 point, n = 4" in line
    assert f"in 1 of 2 cells too few seeds to say (n = 2; {MIN_SEEDS} are needed)" in line


@pytest.mark.parametrize(("offset", "passed"), [(0.0, 1), (3.0, 0)])
def test_overall_says_whether_a_second_retraining_passes_the_same_test(offset: float, passed: int) -> None:
    runs = retrains(4) + rows("salun", 4) + rows("original", 4, offset=6.0) + rows("retrain-again", 4, offset)
    _, line = overall(judge(Results.of(runs).summaries))
    assert f"at ±1 point in {passed} of 1 cells" in line
