"""The executor on Ray: start or join Ray, run the jobs through Tune, disconnect."""

import os
from datetime import UTC, datetime

from salun_grid.grid.capacity import Resources, in_words
from salun_grid.grid.graph import JobGraph
from salun_grid.grid.on_ray.cluster import connected, connected_cluster, let_jobs_queue
from salun_grid.grid.on_ray.tune_run import run_trials
from salun_grid.grid.progress import Progress
from salun_grid.grid.session import Session
from salun_grid.records.storage import is_remote


def run_jobs(session: Session) -> str:
    """Run every job of the session's graph; returns a line with the path of Ray's logs if a job failed."""
    execution, graph, progress, store = session.execution, session.graph, session.progress, session.store
    log_file = store.log_folder() / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.log"
    if execution.detail != "quiet":
        progress.note(where_ray_runs(execution.address))
    if execution.detail == "verbose" or is_remote(store.out):
        progress.note(f"Ray's log is {log_file}")
    with connected(execution.address, log_file, lambda: bool(graph.failed)) as folder, progress:
        cluster = connected_cluster()
        resources = cluster.job_resources(execution)
        let_jobs_queue(cluster.slots(resources))
        progress.lacking = lambda: lacking(graph, progress, resources)
        run_trials(session.plan, graph, store.out, resources, execution.compile, progress)
    return f"The logs of Ray's processes are in {folder}." if graph.failed and folder else ""


def where_ray_runs(address: str | None) -> str:
    if address is None:
        return "Starting Ray on this machine …"
    from_environment = os.environ.get("RAY_ADDRESS") == address
    source = " (from RAY_ADDRESS; --address local starts Ray on this machine)" if from_environment else ""
    return f"Joining Ray at {address}{source} …"


def lacking(graph: JobGraph, progress: Progress, resources: Resources) -> str:
    """What the unfinished jobs wait for: missing nodes, or resources in use by others; or ""."""
    workers = [graph.workers_of(job) for key, job in progress.unfinished.items() if key not in graph.blocked]
    if shortage := connected_cluster().shortage(resources, max(workers, default=0)):
        return f"nodes with room for {shortage}"
    return f"{in_words(resources)} to become free" if workers and not progress.running else ""
