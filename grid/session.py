"""Run the pending jobs, on Ray or in this process, and report failures."""

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rich.console import Console

from salun_grid.grid import cost
from salun_grid.grid.execution import Execution
from salun_grid.grid.graph import JobGraph
from salun_grid.grid.lock import DriverLock
from salun_grid.grid.plan import Plan
from salun_grid.grid.progress import Progress, duration
from salun_grid.grid.reasons import in_one_line
from salun_grid.grid.specs import Spec
from salun_grid.grid.stopping import Stop
from salun_grid.grid.store import Store

FAILED = 1


@dataclass(frozen=True)
class Session:
    """The input of an executor, which runs the jobs of `graph` and calls `finish` or `fail` for each."""

    plan: Plan
    graph: JobGraph
    store: Store
    execution: Execution
    progress: Progress
    lock: DriverLock

    def finish(self, job: Spec) -> None:
        """Mark a job as published."""
        self.progress.add(self.graph.finish(job.key))
        self.progress.finish(job.key)

    def fail(self, job: Spec, reason: str) -> None:
        """Mark a job as failed; `reason` is a traceback or a sentence."""
        self.graph.fail(job.key, reason)
        self.progress.fail(job)


def run_missing(
    plan: Plan,
    missing: list[Spec],
    store: Store,
    execution: Execution,
    lock: DriverLock,
    stop: Stop,
    grow: Callable[[Spec], Iterable[Spec]] | None = None,
) -> int:
    """Run `missing` and what `grow` adds; returns the exit status: 0, or 1 if a job failed.

    `grow` is called with each finished job, whose result is published, and returns specs to add.
    """
    if execution.local:
        from salun_grid.grid.in_process import run_jobs
    else:
        from salun_grid.grid.on_ray.session import run_jobs  # imports Ray
    console = Console(file=sys.stdout, soft_wrap=True)
    # The cluster's devices are not known yet; where the order matters, the jobs are long enough to run on GPUs.
    graph = JobGraph(missing, set(), cost.GPU.seconds_of, execution.workers_of, grow)

    def on_tick() -> None:
        stop.check()
        lock.renew()

    progress = Progress(missing, console, on_tick, execution.detail)
    if execution.detail != "quiet":
        console.print(
            f"{plan.study.name}: {len(missing)} of {len(plan.jobs)} jobs to do, into {store.out}", markup=False
        )
    started = time.monotonic()
    last_line = run_jobs(Session(plan, graph, store, execution, progress, lock))
    stop.check()
    tell_failures(graph, progress.done, store, console)
    if last_line:
        console.print(last_line, markup=False)
    if execution.detail != "quiet":
        console.print(f"{progress.done} jobs done in {duration(time.monotonic() - started)}.", markup=False)
    return 0 if progress.done == len(graph.jobs) else FAILED


def tell_failures(graph: JobGraph, num_done: int, store: Store, console: Console) -> None:
    """Print a line per failed job, whose full traceback is in the logs, and the number of blocked and lost jobs."""
    for key, reason in graph.failed.items():
        path = store.publish_failure(key, reason)
        console.print(f"FAILED {graph.jobs[key].label}: {in_one_line(reason)} (full log: {path})", markup=False)
    if graph.blocked:
        console.print(f"{len(graph.blocked)} jobs that depend on a failed job were not started.", markup=False)
    lost = len(graph.jobs) - num_done - len(graph.failed) - len(graph.blocked)
    if lost:
        console.print(f"{lost} jobs disappeared without an error; rerun the command to retry them.", markup=False)
