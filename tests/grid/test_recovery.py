"""A process that dies in the middle of a training: the run itself goes on, and ends where an undisturbed one does."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from salun_grid.analysis.results import open_table, read_runs
from salun_grid.grid.plan import make_plan
from salun_grid.grid.store import Store
from salun_grid.grid.study import Study, narrowed
from salun_grid.grid.study_file import find_study
from salun_grid.trainables.workers import Worker
from tests.support.processes import addresses_listened_at, grid_command, kill_one, wait_until
from tests.support.studies import run_without_ray


def one_retrain(npz: Path, epochs: int) -> tuple[Study, list[str]]:
    """A study of a single job, and the words after `run digits` that ask for it."""
    axes = {"datasets": (str(npz),), "forget_sets": ("random:0.1",), "augmentations": ("default",), "seeds": (0,)}
    settings = [f"training.epochs={epochs}", "model.width=4"]
    study = narrowed(find_study("digits"), axes | {"methods": ("retrain",)}, settings)
    words = ["--dataset", str(npz), "--forget-rate", "0.1", "--augmentation", "default", "--seed", "0"]
    return study, [*words, "--method", "retrain", *(word for each in settings for word in ("--set", each))]


def undisturbed_worker(rank: int, world: int, study: Study, out: str) -> None:
    """What one of `world` workers does without Ray and without a fault."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{out}-meeting", rank=rank, world_size=world)
    run_without_ray(make_plan(study), Store(out), Worker(rank, world))
    dist.destroy_process_group()


def logits_of(out: Path) -> np.ndarray:
    return open_table(out, "predictions").to_table()["logits"].combine_chunks().values.to_numpy()


# Epochs enough for more than one checkpoint.
@pytest.mark.ray
@pytest.mark.parametrize(
    ("workers", "epochs", "title"), [(1, 1500, "ray::ImplicitFunc"), (2, 200, "ray::RayTrainWorker")]
)
def test_a_killed_process_is_started_again(
    workers: int, epochs: int, title: str, small_npz: Path, tmp_path: Path
) -> None:
    """By one worker or by two of Ray Train, a retrain ends bit for bit where as many do undisturbed."""
    study, words = one_retrain(small_npz, epochs)
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "out"
    mp.spawn(undisturbed_worker, (workers, study, str(undisturbed)), nprocs=workers)

    command = grid_command("run", "digits", *words, "--workers", workers, "--out", out)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": "200"}) as run:
        try:
            wait_until(lambda: list(out.glob("checkpoints/*.safetensors")))
            everywhere = {"::"} if workers > 1 else set()  # where PyTorch lets the workers of a group meet
            assert addresses_listened_at(run.pid) <= {"127.0.0.1", "::ffff:127.0.0.1"} | everywhere
            kill_one(run.pid, title)
            output, _ = run.communicate(timeout=240)
        finally:
            run.kill()

    assert run.returncode == 0, output
    assert "process died, restarting: retrain 10%" in output
    assert "2 jobs done" in output
    assert "(raylet)" not in output
    (row,), (wanted,) = read_runs(out), read_runs(undisturbed)
    assert (row["job_key"], row["num_workers"]) == (wanted["job_key"], workers)
    np.testing.assert_array_equal(logits_of(out), logits_of(undisturbed))
    assert not list(out.glob("checkpoints/*"))
