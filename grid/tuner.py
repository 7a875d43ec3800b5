"""The one Tune run of a study: each trial is a job; a job starts when what it needs is published."""

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune
from ray.tune.search import Searcher

from grid.graph import JobGraph
from grid.jobs import Workplace, run_job
from grid.plan import Job, Plan
from grid.progress import Progress
from grid.store import Store
from grid.study import Study
from grid.training import fit
from trainables.data import load
from trainables.training import Epoch


@dataclass(frozen=True)
class Assignment:
    """What every trial is given beside its own job; `datasets` are references into Ray's object store."""

    study: Study
    datasets: dict[str, ray.ObjectRef]
    out: str
    resources: dict[str, float]


def run_jobs(plan: Plan, graph: JobGraph, out: str, resources: dict[str, float], progress: Progress) -> None:
    """Run every job of `graph` on the connected cluster. What fails is in `graph.failed` afterwards."""
    sources = {job.dataset for job in graph.jobs.values()}
    datasets = {source: ray.put(load(plan.datasets[source])) for source in sources}
    # Each trial works in a folder of its own, so the results' folder needs its whole path.
    assignment = Assignment(plan.study, datasets, str(Path(out).absolute()), resources)
    trainable = tune.with_resources(tune.with_parameters(trial, assignment=assignment), resources)
    with tempfile.TemporaryDirectory(prefix="salun-grid-") as scratch:
        tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=JobSearcher(graph),
                num_samples=-1,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="jobs", storage_path=scratch, callbacks=[GridCallback(graph, progress)], verbose=0
            ),
        ).fit()


def trial(config: dict[str, Any], assignment: Assignment) -> None:
    """One job, in a warm process of Ray's."""
    job = Job(**config["job"])
    torch.set_num_threads(max(1, int(assignment.resources["CPU"])))
    device = torch.device("cuda" if assignment.resources.get("GPU") and torch.cuda.is_available() else "cpu")
    images = 0

    def report(epoch: Epoch) -> None:
        nonlocal images
        images += epoch.num_images
        tune.report({"epoch": epoch.epoch + 1, "images": images, "images_per_second": epoch.images_per_second})

    dataset = ray.get(assignment.datasets[job.dataset])
    run_job(job, Workplace(assignment.study, dataset, Store(assignment.out), device, report), fit)
    tune.report({"done": True})


class JobSearcher(Searcher):
    """Gives Tune the next ready job; None while none is ready, FINISHED when none is left."""

    def __init__(self, graph: JobGraph) -> None:
        super().__init__()
        self.graph = graph

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self.graph.exhausted:
            return Searcher.FINISHED
        job = self.graph.next_job()
        return None if job is None else {"job": asdict(job)}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The graph is kept by GridCallback, which knows the trial's job."""

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
