"""The one Tune run of a study: each trial is a job; a job starts when what it needs is published."""

import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ray
import ray.train
import torch
from ray import tune
from ray.tune.search import Searcher

from grid.cluster import groups_at_once
from grid.graph import JobGraph
from grid.jobs import Workplace, run_job
from grid.plan import Job, Plan
from grid.progress import Progress
from grid.store import Store
from grid.study import Study
from grid.training import fit, fit_together, this_worker
from trainables.data import load
from trainables.training import Epoch
from trainables.workers import ALONE, Worker


@dataclass(frozen=True)
class Assignment:
    """What every trial is given beside its own job; `datasets` are references into Ray's object store."""

    study: Study
    datasets: dict[str, ray.ObjectRef]
    out: str
    resources: dict[str, float]
    workers: int

    def together(self, kind: str) -> bool:
        """Whether a job of this kind is done by several workers: a training is, where there are several."""
        return self.workers > 1 and kind != "unlearn"


def run_jobs(
    plan: Plan, graph: JobGraph, out: str, resources: dict[str, float], workers: int, progress: Progress
) -> None:
    """Run every job of `graph` on the connected cluster, each training by `workers` that hold `resources` each.

    What fails is in `graph.failed` afterwards.
    """
    sources = {job.dataset for job in graph.jobs.values()}
    datasets = {source: ray.put(load(plan.datasets[source])) for source in sources}
    # Each trial works in a folder of its own, so the results' folder needs its whole path.
    assignment = Assignment(plan.study, datasets, str(Path(out).absolute()), resources, workers)
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
                name="jobs", storage_path=scratch, callbacks=[GridCallback(graph, progress)], verbose=0
            ),
        ).fit()


def trial(config: dict[str, Any], assignment: Assignment) -> None:
    """One job, in a warm process of Ray's, or in the workers that it starts."""
    job = Job(**config["job"])
    if assignment.together(job.kind):
        folder = Path(assignment.out, "logs", "train", job.key)
        group = {"job": job, "assignment": assignment}
        fit_together(work_together, group, assignment.workers, assignment.resources, folder)
    else:
        work(job, assignment, ALONE, fit, tune.report)
    tune.report({"done": True})


def work_together(config: dict[str, Any]) -> None:
    """The share of one worker of a group in its job."""
    work(config["job"], config["assignment"], this_worker(), lambda loop: loop(), ray.train.report)


def work(job: Job, assignment: Assignment, worker: Worker, fit: Callable, report_metrics: Callable) -> None:
    """Do `job` on this process's device, with a report after each epoch."""
    torch.set_num_threads(max(1, int(assignment.resources["CPU"])))
    device = torch.device("cuda" if assignment.resources.get("GPU") and torch.cuda.is_available() else "cpu")
    images = 0

    def report(epoch: Epoch) -> None:
        nonlocal images
        images += epoch.num_images
        report_metrics({"epoch": epoch.epoch + 1, "images": images, "images_per_second": epoch.images_per_second})

    dataset = ray.get(assignment.datasets[job.dataset])
    run_job(job, Workplace(assignment.study, dataset, Store(assignment.out), device, report, worker), fit)


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
        key = trial.config["job"]["key"]
        self.graph.finish(key)
        self.progress.finish(key)

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        key = trial.config["job"]["key"]
        # get_error() reads the copy in Tune's storage, which comes only later.
        self.graph.fail(key, Path(trial.error_file).read_text())
        self.progress.fail(key)
