"""One sitting of a run: Ray up, the missing jobs through Tune, Ray down, what failed told."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from rich.console import Console

from analysis.storage import is_remote
from grid import cost
from grid.cluster import connected, job_resources, let_jobs_queue
from grid.execution import Execution
from grid.graph import JobGraph
from grid.lock import DriverLock
from grid.plan import Job, Plan
from grid.progress import Progress, duration
from grid.reasons import in_one_line
from grid.store import Store
from grid.tuner import run_jobs

FAILED, INTERRUPTED = 1, 130


@contextmanager
def stoppable(progress: Progress) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM stop the run. Ray may swallow the KeyboardInterrupt, so the next tick raises it again."""

    def on_signal(*_: object) -> None:
        progress.stop_requested = True
        raise KeyboardInterrupt

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_missing(plan: Plan, missing: list[Job], store: Store, execution: Execution, lock: DriverLock) -> int:
    """Run `missing`; returns the exit status: 0, 1 when a job failed, 130 when a person stopped it."""
    console = Console(file=sys.stdout, soft_wrap=True)
    log_file = store.log_folder() / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.log"
    # Before Ray tells what the cluster has; where the order matters, the jobs are long enough for a GPU.
    graph = JobGraph(missing, set(), cost.seconds_of(plan, cost.GPU), execution.workers_of)
    protocol = plan.study.protocol
    epochs = {"original": protocol.training.epochs, "retrain": protocol.training.epochs}
    epochs |= {"unlearn": protocol.unlearning.epochs}
    progress = Progress(missing, epochs, console, on_tick=lock.renew, detail=execution.detail)
    if execution.detail != "quiet":
        console.print(
            f"{plan.study.name}: {len(missing)} of {len(plan.jobs)} jobs to do, into {store.out}", markup=False
        )
        joining = f"Joining Ray at {execution.address} …" if execution.address else "Ray starts on this machine …"
        console.print(joining, markup=False)
    if execution.detail == "verbose" or is_remote(store.out):
        console.print(f"What Ray says goes to {log_file}", markup=False)
    started = time.monotonic()
    try:
        with connected(execution.address, log_file), stoppable(progress), progress:
            resources = job_resources(execution)
            progress.request = " and ".join(f"{amount:g} {name}" for name, amount in resources.items())
            let_jobs_queue(resources)
            run_jobs(plan, graph, store.out, resources, execution.compile, progress)
    except KeyboardInterrupt:
        console.print(f"Stopped. What is done stays in {store.out}; the same command goes on from there.", markup=False)
        return INTERRUPTED
    tell_failures(graph, progress.done, store, console)
    if execution.detail != "quiet":
        console.print(f"{progress.done} jobs done in {duration(time.monotonic() - started)}.", markup=False)
    return 0 if progress.done == len(missing) else FAILED


def tell_failures(graph: JobGraph, num_done: int, store: Store, console: Console) -> None:
    """A line for each failed job, the whole of it in the folder's logs, and how many waited for one in vain."""
    for key, reason in graph.failed.items():
        path = store.publish_failure(key, reason)
        console.print(f"FAILED {graph.jobs[key].label}: {in_one_line(reason)} (all of it in {path})", markup=False)
    if graph.blocked:
        console.print(f"{len(graph.blocked)} jobs that need a failed one were not started.", markup=False)
    lost = len(graph.jobs) - num_done - len(graph.failed) - len(graph.blocked)
    if lost:
        console.print(f"Ray lost {lost} jobs without a word; the same command does them.", markup=False)
