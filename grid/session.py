"""Run the pending jobs: start Ray, execute, shut down, report failures."""

import os
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from rich.console import Console

from salun_grid.analysis.storage import is_remote
from salun_grid.grid import cost
from salun_grid.grid.capacity import Resources, in_words
from salun_grid.grid.cluster import connected, connected_cluster, let_jobs_queue
from salun_grid.grid.execution import Execution
from salun_grid.grid.graph import JobGraph
from salun_grid.grid.lock import DriverLock
from salun_grid.grid.plan import Plan
from salun_grid.grid.progress import Progress, duration
from salun_grid.grid.reasons import in_one_line
from salun_grid.grid.specs import Spec
from salun_grid.grid.stopping import Stop
from salun_grid.grid.store import Store
from salun_grid.grid.tuner import run_jobs

FAILED = 1


def run_missing(
    plan: Plan,
    missing: list[Spec],
    store: Store,
    execution: Execution,
    lock: DriverLock,
    stop: Stop,
    grow: Callable[[Spec], Iterable[Spec]] | None = None,
) -> int:
    """Run `missing` and what `grow` adds; returns the exit status: 0, or 1 when a job failed.

    `grow` sees each finished job, whose result the store has, and returns the specs that it asks for.
    """
    console = Console(file=sys.stdout, soft_wrap=True)
    log_file = store.log_folder() / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.log"
    # Before Ray tells what the cluster has; where the order matters, the jobs are long enough for a GPU.
    graph = JobGraph(missing, set(), cost.GPU.seconds_of, execution.workers_of, grow)

    def on_tick() -> None:
        stop.check()
        lock.renew()

    progress = Progress(missing, console, on_tick, execution.detail)
    if execution.detail != "quiet":
        console.print(
            f"{plan.study.name}: {len(missing)} of {len(plan.jobs)} jobs to do, into {store.out}", markup=False
        )
        console.print(where_ray_runs(execution.address), markup=False)
    if execution.detail == "verbose" or is_remote(store.out):
        console.print(f"Ray's log is {log_file}", markup=False)
    started = time.monotonic()
    with connected(execution.address, log_file, lambda: bool(graph.failed)) as session, progress:
        cluster = connected_cluster()
        resources = cluster.job_resources(execution)
        let_jobs_queue(cluster.slots(resources))
        progress.lacking = lambda: lacking(graph, progress, resources)
        run_jobs(plan, graph, store.out, resources, execution.compile, progress)
    stop.check()
    tell_failures(graph, progress.done, store, console)
    if graph.failed and session:
        console.print(f"The logs of Ray's processes are in {session}.", markup=False)
    if execution.detail != "quiet":
        console.print(f"{progress.done} jobs done in {duration(time.monotonic() - started)}.", markup=False)
    return 0 if progress.done == len(graph.jobs) else FAILED


def where_ray_runs(address: str | None) -> str:
    if address is None:
        return "Starting Ray on this machine …"
    from_environment = os.environ.get("RAY_ADDRESS") == address
    source = " (from RAY_ADDRESS; --address local would start one on this machine)" if from_environment else ""
    return f"Joining Ray at {address}{source} …"


def lacking(graph: JobGraph, progress: Progress, resources: Resources) -> str:
    """What the unfinished jobs wait for: nodes that the cluster does not have, or room that others take; or ""."""
    workers = [graph.workers_of(job) for key, job in progress.unfinished.items() if key not in graph.blocked]
    if shortage := connected_cluster().shortage(resources, max(workers, default=0)):
        return f"nodes with room for {shortage}"
    return f"{in_words(resources)} to become free" if workers and not progress.running else ""


def tell_failures(graph: JobGraph, num_done: int, store: Store, console: Console) -> None:
    """A line for each failed job, the whole of it in the folder's logs, and how many waited for one in vain."""
    for key, reason in graph.failed.items():
        path = store.publish_failure(key, reason)
        console.print(f"FAILED {graph.jobs[key].label}: {in_one_line(reason)} (all of it in {path})", markup=False)
    if graph.blocked:
        console.print(f"{len(graph.blocked)} jobs that need a failed one were not started.", markup=False)
    lost = len(graph.jobs) - num_done - len(graph.failed) - len(graph.blocked)
    if lost:
        console.print(f"{lost} jobs disappeared without an error; rerun the command to retry them.", markup=False)
