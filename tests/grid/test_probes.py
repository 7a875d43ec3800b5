"""Probes in a study: a job for each model, rows of `measures`, keys that move nobody else's."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from salun_grid.grid.plan import make_plan, missing_jobs
from salun_grid.grid.specs import Probe as ProbeSpec
from salun_grid.grid.status import describe_status
from salun_grid.grid.store import Store
from salun_grid.grid.study import checked, narrowed
from salun_grid.grid.study_file import read_study
from salun_grid.records.errors import InputError
from salun_grid.records.schemas import SCHEMAS
from salun_grid.records.studies import read_studies
from salun_grid.trainables.methods.base import PassCount, Settings, Unlearning
from salun_grid.trainables.probes import PROBES, ChosenProbe, Measure, Probe
from salun_grid.trainables.settings import setting
from tests.support.studies import run_without_ray, small_study


@dataclass(frozen=True)
class Counting(Settings):
    times: int = setting(1, at_least=1)


def count(job: Unlearning[Counting]) -> Iterator[Measure]:
    for i in range(job.settings.times):
        yield Measure("forgotten", float(len(job.forget)), "images", i)


@pytest.fixture(autouse=True)
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = Probe(count, Counting, lambda s: PassCount(forget=float(s.times)), "Counts D_f.", "none")
    monkeypatch.setitem(PROBES, "counting", probe)


def probes_of(study: Any) -> list[ProbeSpec]:
    return [job for job in make_plan(study).jobs.values() if isinstance(job, ProbeSpec)]


def test_every_model_is_probed_and_each_measure_is_a_row(small_npz: Path, tmp_path: Path) -> None:
    plan = make_plan(small_study(small_npz, probes=("counting:times=2",)))
    store = Store(str(tmp_path / "out"))
    run_without_ray(plan, store)
    assert missing_jobs(plan, store) == []
    jobs = [job for job in plan.jobs.values() if isinstance(job, ProbeSpec)]
    assert {job.method for job in jobs} == {"retrain", "retrain-again", "original", "salun"}
    for job in jobs:
        rows = store.read_table("measures", job.key)
        assert [(row["metric"], row["element"], row["unit"]) for row in rows] == [
            ("forgotten", 0, "images"),
            ("forgotten", 1, "images"),
        ]
        assert {row["value"] for row in rows} == {float(job.forget.count(job.data))}
        assert {(row["method"], row["model_key"], row["probe"], row["probe_params"]) for row in rows} == {
            (job.method, job.subject.key, "counting", '{"times": 2}')
        }
        assert job.label.startswith("counting:times=2 of ")
    found = ds.dataset(store.address("results", "measures"), format="parquet").schema
    assert found.equals(SCHEMAS["measures"], check_metadata=True)


def test_a_probe_moves_no_other_key_and_its_settings_move_its_own(small_npz: Path) -> None:
    without = set(make_plan(small_study(small_npz)).jobs)
    once, twice = (make_plan(small_study(small_npz, probes=(text,))) for text in ("counting", "counting:times=2"))
    assert without < set(once.jobs)
    keys = [{job.key for job in plan.probes} for plan in (once, twice)]
    assert len(keys[0]) == len(keys[1]) == 4 and not keys[0] & keys[1] and not keys[0] & without


def test_a_version_of_the_probe_moves_its_keys_alone(small_npz: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = small_study(small_npz, probes=("counting",))
    before = make_plan(study)
    monkeypatch.setitem(PROBES, "counting", replace(PROBES["counting"], version=2))
    after = make_plan(study)
    changed = set(before.jobs) - set(after.jobs)
    assert changed == {probe.key for probe in before.probes}


def test_status_counts_measures(small_npz: Path, tmp_path: Path) -> None:
    plan, store = (
        make_plan(small_study(small_npz, methods=("retrain",), probes=("counting",))),
        Store(str(tmp_path / "o")),
    )
    run_without_ray(plan, store)
    store.publish_study(plan.summary())
    assert "3/3 jobs done: 1/1 models, 1/1 rows, 1/1 measures" in describe_status(store.out)
    assert read_studies(store.place)[0][0].measures == {plan.probes[0].key}


def test_probes_come_from_the_command_line_and_from_a_file(small_npz: Path, tmp_path: Path) -> None:
    study = narrowed(small_study(small_npz), {}, [], probes=("counting:times=2", "counting"))
    assert study.words[-4:] == ("--probe", "counting:times=2", "--probe", "counting")
    assert checked(study).probes == ("counting:times=2", "counting")
    (tmp_path / "s.toml").write_text('probes = ["counting"]\n')
    assert read_study(tmp_path / "s.toml").probes == ("counting",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("countign", "Did you mean 'counting'"),
        ("counting:times=0", "probe counting: times must be a whole number, at least 1"),
        ("counting:tmes=1", "Did you mean 'times'"),
        ("counting:times", "a probe with settings looks like"),
    ],
)
def test_a_probe_that_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ChosenProbe.parse(text)
