"""A study small enough for tests, and a way to run jobs without Ray."""

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from salun_grid.grid.jobs import Workplace, run_job
from salun_grid.grid.plan import Plan
from salun_grid.grid.specs import CONTROLS, Evaluate
from salun_grid.grid.store import Store
from salun_grid.grid.study import STUDIES, Study
from salun_grid.grid.work import Work
from salun_grid.trainables.data import load
from salun_grid.trainables.passes import Epoch
from salun_grid.trainables.protocol import ModelConfig, TrainingConfig, UnlearningConfig
from salun_grid.trainables.workers import ALONE, Worker

# Columns of `runs` that another run of the same job does not repeat.
OF_ONE_RUN = frozenset(
    {f"seconds_{part}" for part in ("total", "mask", "train", "eval", "load", "compile")}
    | {"memory_train", "memory_eval", "device_memory_train", "device_memory_eval", "finished_at"}
)


@dataclass(frozen=True)
class FakeJob:
    """What the graph and the progress view ask of a spec."""

    key: str
    needs: tuple["FakeJob", ...] = ()
    images: int = 1
    label: str = "retrain 10% · digits · none · seed 0"
    num_epochs: int = 30
    distributed: bool = True
    method: str = "retrain"
    seed: int = 0

    @property
    def work(self) -> Any:
        return SimpleNamespace(train_images=self.images, passed_images=self.images)


PROTOCOL = replace(
    STUDIES["digits"].protocol,
    name="small",
    model=ModelConfig(width=4),
    training=TrainingConfig(epochs=2, batch_size=32, learning_rate=0.05),
    unlearning=UnlearningConfig(epochs=1, batch_size=32, learning_rate=0.013),
)

# What makes `salun-grid run` as small as PROTOCOL.
SMALL_SETTINGS = ["--epochs", "2", "--unlearning-epochs", "1", "--set", "model.width=4"]


def small_study(source: Path, **axes: tuple) -> Study:
    """One cell of each method at 10 % on the data set `source`, unless `axes` say otherwise."""
    base = {"datasets": (str(source),), "forget_sets": ("random:0.1",), "augmentations": ("none",), "seeds": (0,)}
    base |= {"methods": (*CONTROLS, "salun")}
    return replace(STUDIES["digits"], name="small", protocol=PROTOCOL, words=("small",), **(base | axes))


def row_work_of(cell: Evaluate) -> Work:
    """What a cell's row stands for: the work of its evaluation and of its model, unless that is the original."""
    model = cell.subject.work
    images = {"train_images": model.train_images, "forward_images": model.forward_images}
    if cell.subject.key == cell.original.key:
        images = dict.fromkeys(images, 0)
    return replace(cell.work, batch_size=model.batch_size, **images)


def run_without_ray(plan: Plan, store: Store, worker: Worker = ALONE) -> list[Epoch]:
    """Run every job of `plan` in this process, in plan order; returns the reported epochs."""
    store.create()
    epochs: list[Epoch] = []
    for job in plan.jobs.values():
        if worker.rank and not job.distributed:
            continue
        dataset = load(job.data)
        place = Workplace(plan.study, dataset, store, torch.device("cpu"), epochs.append, worker)
        run_job(job, place, lambda loop: loop())
    return epochs
