"""One trial of the Tune run: a job, in a warm Ray process or in a worker group.

If a job raises, its trial completes and reports the reason. If its process dies, the trial fails and Tune restarts it.
A worker of a group that raises, as it does when another worker died, also fails the trial, unless its loss diverged.
"""

import faulthandler
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import ray
import ray.train
import torch
from ray import tune
from ray.train import WorkerGroupError

from salun_grid.grid.jobs import failure, run_job
from salun_grid.grid.on_ray.environment import configure_worker
from salun_grid.grid.on_ray.training import run_alone, run_together, this_worker
from salun_grid.grid.specs import Spec
from salun_grid.grid.store import Store
from salun_grid.grid.study import Study
from salun_grid.grid.workplace import Workplace, counted
from salun_grid.records.errors import Diverged
from salun_grid.records.storage import is_remote
from salun_grid.trainables.workers import ALONE, Worker

# Each report blocks training until the driver polls.
REPORT_SECONDS = 1.0
# Each report of a worker group blocks training until Ray Train's controller polls.
GROUP_REPORTS = 20


@dataclass(frozen=True)
class Assignment:
    """What every trial gets besides its job; `datasets` are references into Ray's object store."""

    study: Study
    datasets: dict[str, ray.ObjectRef]
    out: str
    resources: dict[str, float]
    compile: bool = False


def trial(config: dict[str, Any], assignment: Assignment) -> None:
    """Run `config["job"]` on `config["workers"]` workers; the last report has `failed`, a traceback or ""."""
    configure_worker()
    job, workers = config["job"], config["workers"]
    with crashes_recorded(crash_path(assignment.out, job.key)):
        if workers > 1:
            reason = failure_of_group(job, assignment, workers)
        else:
            reason = failure(lambda: work(job, assignment, ALONE, run_alone, at_most_each(REPORT_SECONDS, tune.report)))
    tune.report({"failed": reason})


@contextmanager
def crashes_recorded(path: Path | None) -> Iterator[None]:
    """Let faulthandler write to `path` if a fatal signal ends this process; the driver reads it from there."""
    file = None
    with suppress(OSError):  # a full disk must not stop a job
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("w")
            faulthandler.enable(file)
    yield
    if file is not None and path is not None:
        faulthandler.disable()
        with suppress(OSError):
            file.close()
            path.unlink()


def crash_path(out: str, key: str) -> Path | None:
    """The file for a job's crash record; None if the results are in a bucket."""
    return None if is_remote(out) else Path(Store(out).address("logs", f"{key}.crash"))


def at_most_each(seconds: float, report: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    """`report`, skipped if the last one was less than `seconds` ago."""
    reported_at = -inf

    def seldom(metrics: dict[str, Any]) -> None:
        nonlocal reported_at
        if time.monotonic() - reported_at >= seconds:
            report(metrics)
            reported_at = time.monotonic()

    return seldom


def failure_of_group(job: Spec, assignment: Assignment, workers: int) -> str:
    """Run `job` in a worker group; returns "", or the reason if the loss diverged. Raises if a retry may help."""
    folder = Store(assignment.out).address("logs", "train", job.key)
    try:
        run_together(work_together, {"job": job, "assignment": assignment}, workers, assignment.resources, folder)
    except WorkerGroupError as error:
        for reason in error.worker_failures.values():
            if isinstance(reason, Diverged):
                return "".join(traceback.format_exception_only(reason))
        raise
    return ""


def work_together(config: dict[str, Any]) -> None:
    """The training loop of one worker of a group."""
    job, assignment = config["job"], config["assignment"]
    epochs = assignment.study.protocol.training.epochs

    def report(metrics: dict[str, Any]) -> None:
        """Report GROUP_REPORTS evenly spaced epochs: all workers must choose the same ones."""
        done = metrics.get("epoch", 0)
        if done * GROUP_REPORTS // epochs > (done - 1) * GROUP_REPORTS // epochs:
            ray.train.report(metrics)

    work(job, assignment, this_worker(), lambda loop: loop(), report)


def work(job: Spec, assignment: Assignment, worker: Worker, run_loop: Callable, report_metrics: Callable) -> None:
    """Run `job` on this process's device, with a report after each epoch."""
    torch.set_num_threads(max(1, int(assignment.resources["CPU"])))
    device = torch.device("cuda" if assignment.resources.get("GPU") and torch.cuda.is_available() else "cpu")

    def tell(text: str) -> None:
        report_metrics({"note": text})

    dataset = ray.get(assignment.datasets[job.data.source])
    store = Store(assignment.out)
    run_job(
        job,
        Workplace(assignment.study, dataset, store, device, counted(report_metrics), worker, assignment.compile, tell),
        run_loop,
    )
    if 0 < assignment.resources.get("GPU", 0) < 1:
        torch.cuda.empty_cache()  # memory cached by a warm process is not available to others on the GPU
