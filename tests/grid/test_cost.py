"""Estimated seconds: what the order of the jobs goes by."""

from pathlib import Path

import numpy as np
import pytest

from grid.cost import CPU_CORE, GPU, Rate, seconds_of, train_seconds
from grid.plan import make_plan
from tests.grid.studies import small_study
from trainables.model import count_macs


@pytest.mark.parametrize("rate", [CPU_CORE, GPU], ids=lambda rate: rate.device)
def test_a_job_costs_its_training_and_a_third_of_it_an_image_evaluated(rate: Rate, small_npz: Path) -> None:
    plan = make_plan(small_study(small_npz))
    (info,) = plan.datasets.values()
    gmac = count_macs(plan.study.protocol.model, info.num_classes, info.image_size) / 1e9
    seconds_an_image = rate.seconds_fixed + rate.seconds_per_gmac * gmac
    everything = info.num_images["train"] + info.num_images["val"] + info.num_images["test"]
    seconds = seconds_of(plan, rate)
    for job in plan.jobs.values():
        evaluation = 0 if job.kind == "original" else everything * seconds_an_image / 3
        assert seconds(job) == pytest.approx(job.train_images * seconds_an_image + evaluation)
    images = sum(job.train_images for job in plan.jobs.values())
    assert train_seconds(plan, rate) == pytest.approx(images * seconds_an_image)


def test_larger_images_cost_more(small_npz: Path, tmp_path: Path) -> None:
    arrays = dict(np.load(small_npz))
    wider = {name: np.repeat(np.repeat(array, 2, 1), 2, 2) if "images" in name else array
             for name, array in arrays.items()}  # fmt: skip
    np.savez(tmp_path / "wider.npz", **wider)
    study = small_study(small_npz, datasets=(str(small_npz), str(tmp_path / "wider.npz")), methods=("retrain",))
    assert study.protocol.image_size == 0
    plan = make_plan(study)
    seconds = seconds_of(plan, Rate("none", 0.0, 1.0, ""))
    small, wide = plan.jobs.values()
    assert small.train_images == wide.train_images
    assert seconds(wide) == pytest.approx(4 * seconds(small), rel=0.01)
