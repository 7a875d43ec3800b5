"""The executor of `--local`: jobs one by one in this process, without Ray, for debugging and tiny studies."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from threading import Event, Thread
from typing import Any

import torch

from salun_grid.grid.execution import Execution
from salun_grid.grid.jobs import failure, run_job
from salun_grid.grid.lock import RENEW_SECONDS, DriverLock
from salun_grid.grid.session import Session
from salun_grid.grid.specs import Spec
from salun_grid.grid.workplace import Workplace, counted
from salun_grid.records.errors import InputError
from salun_grid.trainables.data import Dataset, DatasetInfo, load


def run_jobs(session: Session) -> str:
    """Run every job of the session's graph; a failed job blocks only its dependents."""
    torch.set_num_threads(max(1, int(session.execution.cpus_per_job or 1)))
    datasets = OneDataset()
    with session.progress, renewed(session.lock):
        while job := session.graph.next_job():
            session.progress.tick()
            session.progress.start(job)
            if reason := failure(partial(run_one, job, session, datasets)):
                session.fail(job, reason)
            else:
                session.finish(job)
    return ""


def run_one(job: Spec, session: Session, datasets: "OneDataset") -> None:
    """Run one job on this process's device, with progress after each epoch."""

    def send(metrics: dict[str, Any]) -> None:
        session.progress.advance(job.key, metrics)
        session.progress.show()

    execution, study = session.execution, session.plan.study
    place = Workplace(study, datasets.get(job.data), session.store, device_for(execution), counted(send))
    run_job(job, replace(place, compile=execution.compile, tell=session.progress.note), lambda loop: loop())


def device_for(execution: Execution) -> torch.device:
    """The GPU, if there is one and `execution` does not exclude it."""
    return torch.device("cuda" if execution.gpus_per_job != 0 and torch.cuda.is_available() else "cpu")


class OneDataset:
    """A cache of the last dataset."""

    def __init__(self) -> None:
        self.last: Dataset | None = None

    def get(self, info: DatasetInfo) -> Dataset:
        if self.last is None or self.last.info.identity != info.identity:
            self.last = None  # two may not fit in memory
            self.last = load(info)
        return self.last


@contextmanager
def renewed(lock: DriverLock) -> Iterator[None]:
    """Renew the driver's heartbeat from a thread, since a job may block the main thread for hours."""
    ended = Event()

    def beat() -> None:
        while not ended.wait(RENEW_SECONDS):
            with suppress(InputError):  # another driver took the folder over; the next tick raises it
                lock.renew()

    thread = Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
