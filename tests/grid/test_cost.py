"""Estimated seconds and hours: what the order of the jobs goes by, and what a plan tells before it runs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from salun_grid.grid.cost import CPU_CORE, GPU, UNCOUNTED_SECONDS, Rate, estimate_lines, estimates
from salun_grid.grid.fit import Measurement
from salun_grid.grid.plan import Plan, make_plan
from salun_grid.grid.work import Work
from salun_grid.trainables.architectures import count_macs
from tests.support.studies import row_work_of, small_study


@pytest.mark.parametrize("rate", [CPU_CORE, GPU], ids=lambda rate: rate.device)
def test_a_job_costs_its_training_and_a_third_of_it_an_image_evaluated(rate: Rate, small_npz: Path) -> None:
    plan = make_plan(small_study(small_npz))
    (info,) = plan.datasets.values()
    gmac = count_macs(plan.study.protocol.model, info.num_classes, info.image_size) / 1e9
    seconds_an_image = rate.seconds_fixed + rate.seconds_per_gmac * gmac
    everything = info.num_images["train"] + info.num_images["val"] + info.num_images["test"]
    for job in plan.jobs.values():
        images = everything / 3 if job.makes == "row" else job.work.train_images
        assert rate.seconds_of(job) == pytest.approx(images * seconds_an_image)


def test_larger_images_cost_more(small_npz: Path, tmp_path: Path) -> None:
    arrays = dict(np.load(small_npz))
    wider = {name: np.repeat(np.repeat(array, 2, 1), 2, 2) if "images" in name else array
             for name, array in arrays.items()}  # fmt: skip
    np.savez(tmp_path / "wider.npz", **wider)
    study = small_study(small_npz, datasets=(str(small_npz), str(tmp_path / "wider.npz")), methods=("retrain",))
    assert study.protocol.image_size == 0
    plan = make_plan(study)
    seconds = Rate("none", 0.0, 1.0, "").seconds_of
    small, wide = (job for job in plan.jobs.values() if job.makes == "model")
    assert small.work.train_images == wide.work.train_images
    assert seconds(wide) == pytest.approx(4 * seconds(small), rel=0.01)


def seconds_by_hand(work: Work) -> float:
    """A device on which a GMAC takes 2 s in training and 1 s in evaluation, and nothing else takes time."""
    return work.gmac * (2 * work.train_images + work.eval_images)


def rows_on(device: str, plan: Plan, slower: float = 1.0) -> list[Measurement]:
    """A row of each evaluated job."""
    works = [row_work_of(cell) for cell in plan.cells]
    return [
        Measurement(device, work, slower * 2 * work.gmac * work.train_images, slower * work.gmac * work.eval_images)
        for work in works
    ]


def test_hours_are_those_of_all_jobs_and_of_the_missing_ones(small_npz: Path) -> None:
    plan = make_plan(small_study(small_npz))
    jobs = list(plan.jobs.values())
    works = {key: job.work for key, job in plan.jobs.items()}
    (found,) = estimates(plan, jobs[:2], rows_on("gpu", plan))
    hours = [(seconds_by_hand(works[job.key]) + UNCOUNTED_SECONDS) / 3600 for job in jobs]
    assert found.hours == pytest.approx(sum(hours), rel=0.01)
    assert found.hours_missing == pytest.approx(sum(hours[:2]), rel=0.01)
    assert (found.num_rows, found.unseen) == (4, ())
    assert found.errors.max() < 0.01
    (finished,) = estimates(plan, [], rows_on("gpu", plan))
    assert finished.hours_missing == 0


def test_rows_of_another_device_change_nothing(small_npz: Path) -> None:
    plan = make_plan(small_study(small_npz))
    (alone,) = estimates(plan, [], rows_on("gpu", plan))
    first, second = estimates(plan, [], [*rows_on("slow gpu", plan, slower=10.0), *rows_on("gpu", plan)])
    assert (first.device, second.device) == ("gpu", "slow gpu")
    assert first.hours == alone.hours
    uncounted = len(plan.jobs) * UNCOUNTED_SECONDS / 3600
    assert second.hours - uncounted == pytest.approx(10 * (alone.hours - uncounted))


def test_what_no_row_has_is_said(small_npz: Path) -> None:
    rows = rows_on("gpu", make_plan(small_study(small_npz)))
    larger = small_study(small_npz, augmentations=("none", "default+ra"))
    larger = replace(larger, protocol=replace(larger.protocol, image_size=16))
    plan = make_plan(larger)
    (found,) = estimates(plan, [], rows)
    assert found.unseen == ("16 px", "augmentation default+ra")
    assert "no row has 16 px, augmentation default+ra" in estimate_lines(plan, [], rows, None)[0]


def test_the_lines(small_npz: Path) -> None:
    plan = make_plan(small_study(small_npz))
    jobs = list(plan.jobs.values())
    rows = [replace(row, seconds_training=36e5 * row.seconds_training) for row in rows_on("gpu", plan)]
    (found,) = estimates(plan, jobs, rows)
    (line,) = estimate_lines(plan, jobs, rows, 3.5)
    assert line.startswith(f"gpu: {found.hours:,.2f} device-hours in all, {found.hours:,.2f} still missing; ")
    assert f"; {3.5 * found.hours:,.2f} and {3.5 * found.hours:,.2f} at 3.5 an hour (fitted to 4 rows; error " in line
    assert "an hour" not in estimate_lines(plan, jobs, rows, None)[0]
    assert "error of held-out rows unknown from one row" in estimate_lines(plan, jobs, rows[:1], None)[0]
    references = estimate_lines(plan, jobs, [], 1000.0)
    for rate, text in zip((CPU_CORE, GPU), references, strict=True):
        hours = sum(rate.seconds_of(job) for job in jobs if job.makes == "model") / 3600
        assert text.startswith(f"{hours:,.2f} {rate.device}-hours of training; {1000 * hours:,.2f} at 1000 an hour (")
        assert rate.source in text
