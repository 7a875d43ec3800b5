"""`python -m tests.support.three_cpus NPZ OUT`: jobs by one, two and three workers on a Ray of three CPUs."""

import os
import sys
from pathlib import Path

from rich.console import Console

from salun_grid.grid.graph import JobGraph
from salun_grid.grid.on_ray.cluster import connected_cluster, let_jobs_queue
from salun_grid.grid.on_ray.environment import configure
from salun_grid.grid.on_ray.private import allow_cluster
from salun_grid.grid.on_ray.tune_run import run_trials
from salun_grid.grid.plan import make_plan
from salun_grid.grid.progress import Progress
from salun_grid.grid.specs import Spec, Train
from salun_grid.grid.store import Store
from tests.support.studies import small_study

# isort: split
import ray

# An original that needs everything, one that leaves room for a retrain, and short jobs that wait for both.
WORKERS = {("original", 0): 3, ("original", 1): 2, ("retrain", 0): 2}


def workers_of(job: Spec) -> int:
    return WORKERS.get((job.method, job.seed), 1) if isinstance(job, Train) else 1


if __name__ == "__main__":
    npz, out = sys.argv[1:]
    plan = make_plan(small_study(Path(npz), seeds=(0, 1), methods=("retrain", "original", "salun")))
    store = Store(out)
    store.create()
    configure()
    allow_cluster(False)
    ray.init("local", num_cpus=3, include_dashboard=False, log_to_driver=False, namespace="salun-grid")
    resources = {"CPU": 1.0}
    assert connected_cluster().slots(resources) == 3
    let_jobs_queue(3)
    graph = JobGraph(plan.jobs.values(), set(), lambda job: job.work.train_images, workers_of)
    with Progress(list(plan.jobs.values()), Console(file=sys.stdout, width=200)) as progress:
        run_trials(plan, graph, out, resources, False, progress)
    print(f"done {progress.done} of {len(plan.jobs)}, failed {len(graph.failed)}")
    sys.stdout.flush()
    os._exit(0)
