"""The Tune run of a study: each trial is a job; a job starts when its dependencies are published."""

import tempfile
from collections import deque
from operator import attrgetter
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from salun_grid.grid.graph import JobGraph
from salun_grid.grid.on_ray.cluster import connected_cluster
from salun_grid.grid.on_ray.private import restart_what_runs_out_of_memory
from salun_grid.grid.on_ray.trial import Assignment, crash_path, trial
from salun_grid.grid.plan import Plan
from salun_grid.grid.progress import Progress
from salun_grid.grid.reasons import kernel_out_of_memory_kills, with_evidence
from salun_grid.grid.specs import Spec
from salun_grid.records.storage import absolute
from salun_grid.trainables.data import load

# Restarts of a job whose process or node died.
MAX_RESTARTS = 3


def run_trials(
    plan: Plan, graph: JobGraph, out: str, resources: dict[str, float], compile: bool, progress: Progress
) -> None:
    """Run every job of `graph` on the connected cluster, with `resources` per worker.

    Failed jobs are in `graph.failed` afterwards.
    """
    restart_what_runs_out_of_memory()
    sources = {job.data.source for job in graph.jobs.values()}
    datasets = {source: ray.put(load(plan.datasets[source])) for source in sources}
    # Each trial has its own working folder, so the path of the results must be absolute.
    assignment = Assignment(plan.study, datasets, absolute(out), resources, compile)
    alone = tune.PlacementGroupFactory([resources])
    # A trial that waits for its workers must not hold the resources that they need. Tune rejects an empty request; one
    # byte is the smallest it accepts.
    waiting = tune.PlacementGroupFactory([{"memory": 1}])
    trainable = tune.with_resources(
        tune.with_parameters(trial, assignment=assignment),
        lambda config: waiting if config["workers"] > 1 else alone,
    )
    slots = max(1, connected_cluster().slots(resources))
    largest = max(map(graph.workers_of, graph.jobs.values()))
    with tempfile.TemporaryDirectory(prefix="salun-grid-") as scratch:
        tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=JobSearcher(graph, slots),
                scheduler=QueueScheduler(),
                num_samples=-1,
                # Tune keeps one warm process for the next job, and with it resources that a worker group may need.
                reuse_actors=largest == 1 or largest < slots,
                trial_dirname_creator=attrgetter("trial_id"),
            ),
            run_config=tune.RunConfig(
                name="jobs",
                storage_path=scratch,
                callbacks=[GridCallback(graph, progress, out)],
                failure_config=tune.FailureConfig(max_failures=MAX_RESTARTS),
                verbose=0,
            ),
        ).fit()


class JobSearcher(Searcher):
    """Gives Tune the next ready job; None while none is ready, FINISHED when none is left.

    Tune limits the jobs that hold resources. Trials of worker groups hold none, so they are limited here: the workers
    of all groups together fit the cluster's `slots`, or there is only one group.
    """

    def __init__(self, graph: JobGraph, slots: int) -> None:
        super().__init__()
        self.graph, self.slots = graph, slots
        self.groups: dict[str, int] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self.graph.exhausted:
            return Searcher.FINISHED
        job = self.graph.next_job(self._fits)
        if job is None:
            return None
        workers = self.graph.workers_of(job)
        if workers > 1:
            self.groups[trial_id] = workers
        return {"job": job, "workers": workers}

    def _fits(self, workers: int) -> bool:
        return workers == 1 or not self.groups or sum(self.groups.values()) + workers <= self.slots

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Release the slots of a worker group. GridCallback, which knows the trial's job, updates the graph."""
        self.groups.pop(trial_id, None)

    def __getstate__(self) -> dict[str, Any]:
        """Empty, for the same reason as in GridCallback."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: a run resumes from what is published."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""


class QueueScheduler(FIFOScheduler):
    """Starts trials in the order in which they were suggested, like Tune's FIFOScheduler.

    FIFOScheduler searches all trials at each step: with 9,000 trials, a third of the driver's time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.queue: deque[Trial] = deque()

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        self.queue.append(trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        while self.queue and self.queue[0].status != Trial.PENDING:
            self.queue.popleft()
        return self.queue[0] if self.queue else None


class GridCallback(tune.Callback):
    """Updates the graph and the progress view from Tune's events."""

    def __init__(self, graph: JobGraph, progress: Progress, out: str) -> None:
        self.graph, self.progress, self.out = graph, progress, out
        self.memory_kills_before = kernel_out_of_memory_kills()

    def __getstate__(self) -> dict[str, Any]:
        """Empty: Tune's snapshot pickles its callbacks, but a run resumes from what is published instead."""
        return {}

    def on_step_begin(self, iteration: int, trials: list, **info: Any) -> None:
        self.progress.tick()

    def on_trial_start(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self.progress.start(job_of(trial))

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict, **info: Any) -> None:
        if "epoch" in result:
            self.progress.advance(job_of(trial).key, result)
        if "note" in result:
            self.progress.note(result["note"])

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        job, reason = job_of(trial), trial.last_result["failed"]
        if reason:
            self._fail(job, reason)
        else:
            self.progress.add(self.graph.finish(job.key))
            self.progress.finish(job.key)

    def on_trial_recover(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self.progress.restart(job_of(trial))

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        # get_error() reads the copy in Tune's storage, which is written later.
        job, path = job_of(trial), crash_path(self.out, job_of(trial).key)
        record = path.read_text() if path is not None and path.exists() else ""
        kills = kernel_out_of_memory_kills() - self.memory_kills_before
        self._fail(job, with_evidence(Path(trial.error_file).read_text(), record, kills))

    def _fail(self, job: Spec, reason: str) -> None:
        self.graph.fail(job.key, reason)
        self.progress.fail(job)


def job_of(trial: Trial) -> Spec:
    """The job of a trial."""
    return trial.config["job"]
