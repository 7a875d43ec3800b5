"""The one Tune run of a study: each trial is a job; a job starts when what it needs is published."""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.search import Searcher

from analysis.storage import absolute
from grid.cluster import groups_at_once
from grid.graph import JobGraph
from grid.plan import Job, Plan
from grid.progress import Progress
from grid.trial import Assignment, trial
from trainables.data import load

# How often a job is started again whose process died or whose machine went away.
MAX_RESTARTS = 3


def run_jobs(
    plan: Plan, graph: JobGraph, out: str, resources: dict[str, float], workers: int, progress: Progress
) -> None:
    """Run every job of `graph` on the connected cluster, each training by `workers` that hold `resources` each.

    What fails is in `graph.failed` afterwards.
    """
    sources = {job.dataset for job in graph.jobs.values()}
    datasets = {source: ray.put(load(plan.datasets[source])) for source in sources}
    # Each trial works in a folder of its own, so the results' folder needs its whole path.
    assignment = Assignment(plan.study, datasets, absolute(out), resources, workers)
    alone = tune.PlacementGroupFactory([resources])
    # A trial that waits for its workers must not hold what they need; a byte is the nothing that Tune accepts.
    waiting = tune.PlacementGroupFactory([{"memory": 1}])
    trainable = tune.with_resources(
        tune.with_parameters(trial, assignment=assignment),
        lambda config: waiting if assignment.together(config["job"]["kind"]) else alone,
    )
    with tempfile.TemporaryDirectory(prefix="salun-grid-") as scratch:
        tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=JobSearcher(graph, assignment, groups_at_once(resources, workers)),
                num_samples=-1,
                # A warm process keeps what it holds, which a group of workers may need.
                reuse_actors=workers == 1,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="jobs",
                storage_path=scratch,
                callbacks=[GridCallback(graph, progress)],
                failure_config=tune.FailureConfig(max_failures=MAX_RESTARTS),
                verbose=0,
            ),
        ).fit()


class JobSearcher(Searcher):
    """Gives Tune the next ready job; None while none is ready, FINISHED when none is left.

    Tune itself bounds the jobs that hold resources; those of worker groups hold none, so `max_groups` bounds them.
    """

    def __init__(self, graph: JobGraph, assignment: Assignment, max_groups: int) -> None:
        super().__init__()
        self.graph, self.assignment, self.max_groups = graph, assignment, max_groups
        self.groups: set[str] = set()

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self.graph.exhausted:
            return Searcher.FINISHED
        job = None if len(self.groups) >= self.max_groups else self.graph.next_job()
        if job is None:
            return None
        if self.assignment.together(job.kind):
            self.groups.add(trial_id)
        return {"job": asdict(job)}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A group is free again. The graph is kept by GridCallback, which knows the trial's job."""
        self.groups.discard(trial_id)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing, for the same reason as in GridCallback."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: a run resumes by what is published."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""


class GridCallback(tune.Callback):
    """Keeps the graph and the progress view with what Tune reports."""

    def __init__(self, graph: JobGraph, progress: Progress) -> None:
        self.graph, self.progress = graph, progress

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune's snapshot pickles its callbacks, and a run resumes by what is published instead."""
        return {}

    def on_step_begin(self, iteration: int, trials: list, **info: Any) -> None:
        self.progress.tick()

    def on_trial_start(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self.progress.start(Job(**trial.config["job"]))

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict, **info: Any) -> None:
        if "epoch" in result:
            self.progress.advance(trial.config["job"]["key"], result)

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        key, reason = trial.config["job"]["key"], trial.last_result["failed"]
        if reason:
            self._fail(key, reason)
        else:
            self.graph.finish(key)
            self.progress.finish(key)

    def on_trial_recover(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self.progress.restart(trial.config["job"]["key"])

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        # get_error() reads the copy in Tune's storage, which comes only later.
        self._fail(trial.config["job"]["key"], Path(trial.error_file).read_text())

    def _fail(self, key: str, reason: str) -> None:
        self.graph.fail(key, reason)
        self.progress.fail(key)
