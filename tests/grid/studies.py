"""A study small enough for tests, and a way to run jobs without Ray."""

from dataclasses import replace
from pathlib import Path

import torch

from grid.jobs import Workplace, run_job
from grid.plan import Plan
from grid.store import Store
from grid.study import STUDIES, Study
from trainables.data import load
from trainables.protocol import ModelConfig, TrainingConfig, UnlearningConfig
from trainables.training import Epoch
from trainables.workers import ALONE, Worker

PROTOCOL = replace(
    STUDIES["demo"].protocol,
    name="small",
    model=ModelConfig(width=4),
    training=TrainingConfig(epochs=2, batch_size=32, learning_rate=0.05),
    unlearning=UnlearningConfig(epochs=1, batch_size=32),
)

# What makes `salun-grid run` as small as PROTOCOL.
SMALL_SETTINGS = ["--epochs", "2", "--unlearning-epochs", "1", "--set", "model.width=4"]


def small_study(source: Path, **axes: tuple) -> Study:
    """One cell of each method at 10 % on the data set `source`, unless `axes` say otherwise."""
    base = {"datasets": (str(source),), "forget_rates": (0.1,), "augmentations": ("none",), "seeds": (0,)}
    return replace(STUDIES["demo"], name="small", protocol=PROTOCOL, words=("small",), **(base | axes))


def run_without_ray(plan: Plan, store: Store, worker: Worker = ALONE) -> list[Epoch]:
    """Run every job of `plan` in this process, in plan order; returns the reported epochs."""
    store.create()
    epochs: list[Epoch] = []
    for job in plan.jobs.values():
        dataset = load(plan.datasets[job.dataset])
        place = Workplace(plan.study, dataset, store, torch.device("cpu"), epochs.append, worker)
        run_job(job, place, lambda loop: loop())
    return epochs
