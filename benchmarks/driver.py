"""Driver overhead per trial as the number of trials grows: the grid's Tune run with no-op trials.

`python -m benchmarks.driver NUM_TRIALS ours` prints one JSON object and needs 2 CPUs and some minutes; `tune` instead
of `ours` keeps Tune's own scheduler and snapshots.
"""

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

from rich.console import Console

from salun_grid.grid.graph import JobGraph
from salun_grid.grid.on_ray import cluster, tune_run
from salun_grid.grid.plan import make_plan
from salun_grid.grid.progress import Progress
from salun_grid.grid.study import STUDIES, Study

RESOURCES = {"CPU": 1.0}


def study_of(num_cells: int) -> Study:
    """A study of at least `num_cells` cells of scikit-learn's digits, which need no download."""
    sets = tuple(f"random:{rate}" for rate in (0.1, 0.2, 0.3, 0.4, 0.5))
    cells_a_seed = len(STUDIES["digits"].augmentations) * len(sets) * len(STUDIES["digits"].methods)
    return replace(STUDIES["digits"], name="scale", forget_sets=sets, seeds=tuple(range(-(-num_cells // cells_a_seed))))


def measure(num_trials: int, whose: str) -> dict[str, Any]:
    """Finish times of the trials in wall-clock and driver CPU seconds, and durations of Tune's snapshots."""
    plan = make_plan(study_of(num_trials))
    jobs = list(plan.jobs.values())[:num_trials]
    graph = JobGraph(jobs, set(), lambda job: job.work.train_images)
    finished_at: list[float] = []
    cpu_at: list[float] = []
    started_as: list[int] = []
    snapshots: list[float] = []
    folder: dict[str, int] = {}

    class Watch(tune_run.GridCallback):
        def on_trial_start(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
            super().on_trial_start(iteration, trials, trial, **info)
            started_as.append(int(trial.experiment_tag.partition("_")[0]))

        def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
            super().on_trial_complete(iteration, trials, trial, **info)
            finished_at.append(time.monotonic())
            cpu_at.append(time.process_time())

        def on_experiment_end(self, trials: list, **info: Any) -> None:
            paths = list(Path(trials[0].storage.storage_fs_path).rglob("*"))
            folder["files"] = sum(path.is_file() for path in paths)
            folder["folders"] = sum(path.is_dir() for path in paths)
            folder["bytes"] = sum(path.stat().st_size for path in paths if path.is_file())

    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.schedulers import FIFOScheduler

    if whose == "tune":
        os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "auto"
        tune_run.QueueScheduler = FIFOScheduler  # type: ignore[misc]
    tune_run.trial, tune_run.GridCallback = nothing, Watch  # type: ignore[misc]
    TuneController.save_to_dir = timed(TuneController.save_to_dir, snapshots)
    with tempfile.TemporaryDirectory() as out, Path(out, "lines.txt").open("w") as lines:
        progress = Progress(jobs, Console(file=lines))
        with cluster.connected(None, Path(out, "ray.txt")), progress:
            cluster.let_jobs_queue(cluster.connected_cluster().slots(RESOURCES))
            started = time.monotonic()
            tune_run.run_trials(plan, graph, out, RESOURCES, False, progress)
            ended = time.monotonic()
    return {
        "num_trials": len(finished_at),
        "seconds_first": finished_at[0] - started,
        "seconds_after_last": ended - finished_at[-1],
        "num_out_of_turn": sum(number != place for place, number in enumerate(started_as, start=1)),
        "finished_at": [round(moment - finished_at[0], 3) for moment in finished_at],
        "driver_cpu_at": [round(seconds - cpu_at[0], 3) for seconds in cpu_at],
        "snapshot_seconds": [round(seconds, 4) for seconds in snapshots],
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        **folder,
    }


def nothing(config: dict[str, Any], assignment: Any) -> None:
    """A no-op job, so that only the driver's overhead is measured."""
    tune_run.tune.report({"failed": ""})


def timed(call: Callable, seconds: list[float]) -> Callable:
    @wraps(call)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        started = time.monotonic()
        try:
            return call(*args, **kwargs)
        finally:
            seconds.append(time.monotonic() - started)

    return wrapper


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), sys.argv[2])))
