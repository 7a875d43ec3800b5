"""Simulation of a study on GPUs: plan and graph are the real ones, and a job only advances a clock."""

import heapq
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from salun_grid.grid.cost import GPU
from salun_grid.grid.graph import JobGraph
from salun_grid.grid.plan import Plan, make_plan
from salun_grid.grid.specs import Spec
from salun_grid.grid.study import STUDIES, Study
from salun_grid.trainables.settings import changed

SLOW, FAST = 1.0, 2.0
ALL = STUDIES["paper"].methods


def study_of(num_cells: int, methods: tuple[str, ...] = ALL, unlearning_epochs: int = 10) -> Study:
    """The study `paper` with enough seeds for at least `num_cells` cells; uses only MedMNIST's metadata."""
    paper = STUDIES["paper"]
    cells_a_seed = len(paper.datasets) * len(paper.augmentations) * len(paper.forget_sets) * len(methods)
    seeds = tuple(range(-(-num_cells // cells_a_seed)))
    protocol = changed(paper.protocol, "unlearning.epochs", unlearning_epochs)
    return replace(paper, name="scale", methods=methods, seeds=seeds, protocol=protocol)


def gpus(num: int) -> list[float]:
    """Speeds of `num` GPUs, half of them slow."""
    return [SLOW] * (num - num // 2) + [FAST] * (num // 2)


@dataclass(frozen=True)
class Shape:
    """A study and its number of GPUs; `pending` jobs are dispatched ahead, as to Tune."""

    num_cells: int = 10_000
    num_gpus: int = 256
    pending: int = 0
    methods: tuple[str, ...] = ALL
    unlearning_epochs: int = 10

    def plan(self) -> Plan:
        return plan_of(self.num_cells, self.methods, self.unlearning_epochs)


@cache
def plan_of(num_cells: int, methods: tuple[str, ...], unlearning_epochs: int) -> Plan:
    return make_plan(study_of(num_cells, methods, unlearning_epochs))


# Studies with enough jobs per GPU to reach the lower bound.
AMPLE = {
    "as planned": Shape(),
    "two pending jobs a GPU, as Tune holds them": Shape(pending=512),
    "more jobs a GPU": Shape(num_gpus=16),
    "fewer jobs a GPU": Shape(num_gpus=1024),
    "chains of two long trainings": Shape(unlearning_epochs=200),
    "the same, and nothing else to do": Shape(methods=("original", "salun"), unlearning_epochs=200, pending=512),
    "no chains": Shape(methods=("retrain", "retrain-again")),
    "a third of the cells": Shape(num_cells=3_000),
}
# Studies with one to four long trainings per GPU: one extra training or a slow GPU delays the whole study.
SCARCE = {"1,000 cells": Shape(1_000), "300 cells": Shape(300), "the paper's 72 cells": Shape(72)}


@dataclass(frozen=True)
class Outcome:
    """The makespan of a study, a lower bound, and list scheduling's upper bound, in seconds of a GPU of speed 1.

    With W the work of all jobs, L that of the longest chain and S the sum of the speeds,
    `lower_bound` is max(W / S, L / fastest). `promise` is W / S + L · (1 / slowest − 1 / S), which holds for every
    schedule that leaves no GPU idle while a job is ready: while one idles, the chain that ends last is running
    (Graham's argument, SIAM J. Appl. Math. 17, 1969, with speeds).
    """

    makespan: float
    lower_bound: float
    promise: float

    @property
    def ratio(self) -> float:
        return self.makespan / self.lower_bound


def simulate(
    plan: Plan,
    speeds: Sequence[float],
    priority: Callable[[Spec], float] | None = None,
    pending: int = 0,
    error: float = 0.0,
    seed: int = 0,
) -> Outcome:
    """Run `plan` to completion on GPUs of the given speeds.

    As with Ray, a job gets an arbitrary idle GPU. `pending` jobs are dispatched before a GPU is idle, as to Tune, and
    start in that order. `priority` replaces the estimate that determines the order; `error` is the maximum relative
    deviation of a job's duration from its estimate.
    """
    seconds, draw = GPU.seconds_of, random.Random(seed)
    work = {key: seconds(job) * draw.uniform(1 - error, 1 + error) for key, job in plan.jobs.items()}
    graph = JobGraph(plan.jobs.values(), set(), priority or seconds)
    idle, waiting, running, now = list(speeds), deque[str](), list[tuple[float, str, float]](), 0.0
    while True:
        while len(waiting) < max(pending, len(idle)) and (found := graph.next_job()) is not None:
            waiting.append(found.key)
        while idle and waiting:
            key = waiting.popleft()
            speed = idle.pop(draw.randrange(len(idle)))
            heapq.heappush(running, (now + work[key] / speed, key, speed))
        if not running:
            break
        now, key, speed = heapq.heappop(running)
        graph.finish(key)
        idle.append(speed)
    assert graph.exhausted
    total, longest = sum(work.values()), longest_chain(plan, work)
    bound = max(total / sum(speeds), longest / max(speeds))
    return Outcome(now, bound, total / sum(speeds) + longest * (1 / min(speeds) - 1 / sum(speeds)))


def longest_chain(plan: Plan, work: dict[str, float]) -> float:
    """Work of the longest chain, computed forwards through the plan, unlike in the graph."""
    ends: dict[str, float] = {}
    for key, job in plan.jobs.items():
        ends[key] = work[key] + max((ends[need.key] for need in job.needs), default=0.0)
    return max(ends.values())
