"""From a study to jobs: cells, the jobs they need, and each job's key. Shared work is named once."""

import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

from analysis.gaps import percent
from grid.keys import key_of
from grid.store import Store
from grid.study import Study
from trainables.data import DatasetInfo, describe
from trainables.forget import forget_count
from trainables.methods import METHODS, RETRAIN, RETRAINS
from trainables.protocol import Protocol
from trainables.seeds import Seeds


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work that Ray schedules.

    `kind`: `original` trains and publishes a model; `retrain` and `unlearn` also evaluate it and publish rows.
    `model_key` names the model it makes or evaluates, `needs` the jobs that must be done before it.
    `train_images` is how many images pass through training and mask, all epochs together.
    """

    key: str
    kind: str
    dataset: str
    augmentation: str
    seed: int
    method: str
    forget_rate: float | None
    model_key: str
    original_key: str
    retrain_key: str
    needs: tuple[str, ...]
    train_images: int

    @property
    def seeds(self) -> Seeds:
        """The seed of each stream; a retrain-again differs in all but the forget set's."""
        seeds = Seeds.all(self.seed)
        return RETRAINS[self.method](seeds) if self.kind == "retrain" else seeds

    @property
    def label(self) -> str:
        """A short name for a person: dataset, augmentation, seed, rate, method."""
        rate = "" if self.forget_rate is None else f" {percent(self.forget_rate)}"
        return f"{self.method}{rate} · {self.dataset.rsplit('/', 1)[-1]} · {self.augmentation} · seed {self.seed}"


@dataclass(frozen=True)
class Plan:
    """`jobs` by key, in an order in which each comes after what it needs; `datasets` by source."""

    study: Study
    datasets: dict[str, DatasetInfo]
    num_cells: int
    jobs: dict[str, Job]

    @property
    def num_jobs_unshared(self) -> int:
        """The jobs there would be if each cell trained an original of its own."""
        return self.num_cells + sum(job.kind == "unlearn" for job in self.jobs.values())

    def summary(self) -> dict[str, Any]:
        """What `status` needs: the study, the command that started it, the keys of its jobs."""
        originals = [key for key, job in self.jobs.items() if job.kind == "original"]
        evaluated = [key for key, job in self.jobs.items() if job.kind != "original"]
        command = shlex.join(["salun-grid", "run", *self.study.words, *self.study.axis_words])
        return {"study": self.study.name, "command": command, "originals": originals, "evaluated": evaluated}


def make_plan(study: Study) -> Plan:
    """Every cell's jobs, without loading a pixel of MedMNIST.

    Raises InputError for an unknown or broken dataset, or a rate that leaves the forget or retain set empty.
    """
    datasets = {source: describe(source, study.protocol.image_size) for source in study.datasets}
    sections = protocol_sections(study.protocol)
    jobs: dict[str, Job] = {}
    for source, augmentation, seed in product(study.datasets, study.augmentations, study.seeds):
        group = JobFactory(study.protocol, sections, datasets[source], augmentation, seed)
        for rate in study.forget_rates:
            for job in group.jobs_at(rate, study.methods):
                jobs.setdefault(job.key, job)
    axes = (study.datasets, study.augmentations, study.seeds, study.forget_rates, study.methods)
    num_cells = 1
    for axis in axes:
        num_cells *= len(axis)
    return Plan(study, datasets, num_cells, jobs)


def finished_jobs(plan: Plan, store: Store) -> set[str]:
    """Keys of the plan's jobs that are published: an original as a model, the others as a row."""
    models, rows = store.published_models(), store.published_rows()
    return {key for key, job in plan.jobs.items() if key in (models if job.kind == "original" else rows)}


def missing_jobs(plan: Plan, store: Store) -> list[Job]:
    """What is left to do. An original whose dependents are all done is not needed again."""
    done = finished_jobs(plan, store)
    needed = {need for key, job in plan.jobs.items() if key not in done for need in job.needs}
    return [job for key, job in plan.jobs.items() if key not in done and (job.kind != "original" or key in needed)]


def protocol_sections(protocol: Protocol) -> dict[str, Any]:
    """The protocol's parts as they enter the keys."""
    names = ("model", "training", "augmentation", "unlearning", "saliency", "evaluation")
    return {name: asdict(getattr(protocol, name)) for name in names}


class JobFactory:
    """The jobs of all cells with one dataset, augmentation and seed; they share one original."""

    def __init__(
        self, protocol: Protocol, sections: dict[str, Any], info: DatasetInfo, augmentation: str, seed: int
    ) -> None:
        self.sections, self.info, self.augmentation, self.seed = sections, info, augmentation, seed
        self.num_train = info.num_images["train"]
        self.epochs, self.unlearning_epochs = protocol.training.epochs, protocol.unlearning.epochs
        self.seeds = Seeds.all(seed)
        self.original_key = self._training_key(None, self.seeds)
        self.needs = (self.original_key,)
        images = self.epochs * self.num_train
        self.original = self._job(self.original_key, "original", "original", None, self.original_key, "", images)

    def jobs_at(self, rate: float, methods: tuple[str, ...]) -> Iterator[Job]:
        """The jobs of the cells at one rate, each after what it needs; they share a forget set and a retrain."""
        count = forget_count(rate, self.num_train)
        forget: dict[str, Any] = {"rule": "uniform", "count": count, "seed": self.seeds.forget}
        models = {name: self._training_key(forget, seeds_of(self.seeds)) for name, seeds_of in RETRAINS.items()}
        rows = {name: self._evaluation_key(model_key, forget) for name, model_key in models.items()}
        for method in methods:
            if method in RETRAINS:
                images = self.epochs * (self.num_train - count)
                yield self._job(rows[method], RETRAIN, method, rate, models[method], rows[RETRAIN], images)
            else:
                yield self.original
                model_key, images = self._unlearned(method, forget)
                key = self._evaluation_key(model_key, forget)
                yield self._job(key, "unlearn", method, rate, model_key, rows[RETRAIN], images)

    def _job(
        self,
        key: str,
        kind: str,
        method: str,
        rate: float | None,
        model_key: str,
        retrain_key: str,
        images: int,
    ) -> Job:
        needs = self.needs if kind == "unlearn" else ()
        return Job(key, kind, self.info.source, self.augmentation, self.seed, method, rate, model_key,
                   self.original_key, retrain_key, needs, images)  # fmt: skip

    def _training_key(self, forget: dict[str, Any] | None, seeds: Seeds) -> str:
        """An original is a training that forgets nothing; unused strengths of augmentation stay out of the key."""
        augmented = self.augmentation != "none"
        return key_of(
            {
                "kind": "train",
                "data": self.info.fingerprint,
                "image_size": self.info.image_size,
                "model": self.sections["model"],
                "training": self.sections["training"],
                "augmentation": [self.augmentation, self.sections["augmentation"] if augmented else None],
                "seeds": [seeds.initialisation, seeds.order, seeds.augmentation],
                "forget": forget,
            }
        )

    def _unlearned(self, method: str, forget: dict[str, Any]) -> tuple[str, int]:
        """Key of the model that `method` makes of the original, and the images it trains on."""
        row = METHODS[method]
        if not row.trains:
            return self.original_key, 0
        parts: dict[str, object] = {
            "kind": "unlearn",
            "method": method,
            "original": self.original_key,
            "forget": forget,
        }
        parts |= {"unlearning": self.sections["unlearning"], "seed": self.seeds.unlearning}
        parts |= {"saliency": self.sections["saliency"] if row.masked else None}
        return key_of(parts), self.unlearning_epochs * self.num_train + row.masked * forget["count"]

    def _evaluation_key(self, model_key: str, forget: dict[str, Any]) -> str:
        parts = {
            "kind": "evaluate",
            "model": model_key,
            "forget": forget,
            "evaluation": self.sections["evaluation"],
        }
        return key_of(parts)
