"""One sitting of a run: Ray up, the missing jobs through Tune, Ray down, what failed told."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from rich.console import Console

from analysis.storage import is_remote
from grid.cluster import connected, job_resources, let_jobs_queue
from grid.graph import JobGraph
from grid.plan import Job, Plan
from grid.progress import Progress, duration
from grid.store import Store
from grid.tuner import run_jobs

FAILED, INTERRUPTED = 1, 130


@contextmanager
def stoppable(progress: Progress) -> Iterator[None]:
    """Let Ctrl-C stop the run even where Ray swallows the KeyboardInterrupt: the next tick raises it again."""

    def on_interrupt(*_: object) -> None:
        progress.stop_requested = True
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def run_missing(
    plan: Plan,
    missing: list[Job],
    store: Store,
    address: str | None,
    cpus_per_job: float | None,
    gpus_per_job: float | None,
    workers: int,
) -> int:
    """Run `missing`; returns the exit status: 0, 1 when a job failed, 130 when a person stopped it."""
    out, console = store.out, Console(file=sys.stdout, soft_wrap=True)
    log_file = store.log_folder() / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.log"
    graph = JobGraph(missing, set(), lambda job: job.train_images)
    protocol = plan.study.protocol
    epochs = {"original": protocol.training.epochs, "retrain": protocol.training.epochs}
    progress = Progress(missing, epochs | {"unlearn": protocol.unlearning.epochs}, console)
    console.print(f"{plan.study.name}: {len(missing)} of {len(plan.jobs)} jobs to do, into {out}", markup=False)
    console.print("Ray starts on this machine …" if address is None else f"Joining Ray at {address} …", markup=False)
    if is_remote(out):
        console.print(f"Ray's log is {log_file}", markup=False)
    started = time.monotonic()
    try:
        with connected(address, log_file), stoppable(progress), progress:
            resources = job_resources(cpus_per_job, gpus_per_job)
            let_jobs_queue(resources)
            run_jobs(plan, graph, out, resources, workers, progress)
    except KeyboardInterrupt:
        console.print(f"Stopped. What is done stays in {out}; the same command goes on from there.", markup=False)
        return INTERRUPTED
    for key, reason in graph.failed.items():
        path = store.publish_failure(key, reason)
        last = reason.strip().splitlines()[-1]
        console.print(f"FAILED {graph.jobs[key].label}: {last} (all of it in {path})", markup=False)
    if graph.blocked:
        console.print(f"{len(graph.blocked)} jobs that need a failed one were not started.", markup=False)
    done = progress.done
    console.print(f"{done} jobs done in {duration(time.monotonic() - started)}.", markup=False)
    return 0 if done == len(missing) else FAILED
