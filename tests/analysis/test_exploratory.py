"""The exploratory table: which methods are in it, its estimates and its correction, and that commands show it."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import false_discovery_control, ttest_1samp

from salun_grid.analysis.commands import verdicts_text
from salun_grid.analysis.contrasts import contrasts_of
from salun_grid.analysis.exploratory import Exploratory, explored, signed_gaps
from salun_grid.analysis.outcomes import outcomes_in, scored_blocks
from salun_grid.analysis.verdicts import verdicts_of
from salun_grid.analysis.view import Results
from salun_grid.records.question import Question
from tests.support.folders import Run, make_run, write_folder

METRICS = ("ua", "ra", "ta", "mia")
BIAS = {"retrain": 0.0, "retrain-again": 0.0, "original": 9.0, "salun": 0.0, "scrub": 5.0}
MIA = Question("mia", 2.0)


def study() -> list[Run]:
    """Two cells and five seeds; `salun` scatters like a retrain, `scrub` is 5 points off."""
    rng, runs = np.random.default_rng(0), []
    for dataset in ("a", "b"):
        for seed in range(5):
            for method, bias in BIAS.items():
                values = {m: float(50 + bias + rng.normal(0, 0.3)) for m in METRICS}
                cell = {"dataset": dataset, "seed": seed, "num_forget": 10**6, "num_retain": 10**6}
                runs.append(make_run(method=method, **cell, **values))
    return runs


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    monkeypatch.setattr("salun_grid.analysis.outcomes.has_rows", lambda folder, table: False)
    return study()


def found_in(runs: list[Run]) -> list[Exploratory]:
    found = list(scored_blocks(outcomes_in("", Results.of(runs).cells), MIA))
    return explored(signed_gaps(found), verdicts_of(contrasts_of(found), MIA))


def test_only_methods_that_pass_are_explored(runs: list[Run]) -> None:
    found = found_in(runs)
    assert {one.method for one in found} == {"salun"}
    assert [(one.group.dataset, one.metric) for one in found] == [(d, m) for d in "ab" for m in METRICS]


def test_gaps_and_p_are_those_of_numpy_and_scipy(runs: list[Run]) -> None:
    def gaps(dataset: str, metric: str) -> list[float]:
        values = {(r["method"], r["seed"]): r[metric] for r in runs if r["dataset"] == dataset}
        return [values["salun", seed] - values["retrain", seed] for seed in range(5)]

    found = found_in(runs)
    every = [gaps(one.group.dataset, one.metric) for one in found]
    assert [one.gap.mean for one in found] == pytest.approx([np.mean(own) for own in every])
    plain = [ttest_1samp(own, 0.0).pvalue for own in every]
    assert [one.p for one in found] == pytest.approx(list(false_discovery_control(plain)))


def test_the_table_follows_the_verdicts_and_csv_is_without_it(runs: list[Run], tmp_path: Path) -> None:
    folder = str(write_folder(tmp_path, runs))
    text = verdicts_text(folder, "markdown", 2.0)
    assert text.index("### Verdicts") < text.index("### Exploratory: gaps by cell and metric")
    assert text.count("| a 64px, paper |") == len(METRICS)
    assert "Exploratory" not in verdicts_text(folder, "csv", 2.0)
