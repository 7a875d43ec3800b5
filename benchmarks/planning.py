"""Benchmark of planning a study, finding its missing jobs and dispatching them, as studies grow."""

import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.simulation import study_of
from salun_grid.grid.cost import GPU
from salun_grid.grid.graph import JobGraph
from salun_grid.grid.plan import Plan, make_plan, missing_jobs
from salun_grid.grid.store import Store

STEPS = ("plan", "missing", "graph", "dispatch")


@dataclass(frozen=True)
class Planning:
    """The cost of planning one study; `seconds[step]` lists the CPU seconds of the repetitions."""

    num_cells: int
    num_jobs: int
    seconds: dict[str, list[float]]
    bytes_a_job: float

    def median(self, step: str) -> float:
        return statistics.median(self.seconds[step])


def measure(num_cells: int, repetitions: int) -> Planning:
    """Plan a study of about `num_cells` cells, half of whose rows are published, and dispatch all its jobs."""
    study = study_of(num_cells)
    seconds: dict[str, list[float]] = {step: [] for step in STEPS}
    plan = make_plan(study)
    estimate = GPU.seconds_of
    with tempfile.TemporaryDirectory() as out:
        publish_half(plan, Path(out))
        for _ in range(repetitions):
            timed(seconds["plan"], make_plan, study)
            timed(seconds["missing"], missing_jobs, plan, Store(out))
            graph = timed(seconds["graph"], JobGraph, plan.jobs.values(), set(), estimate)
            timed(seconds["dispatch"], hand_out, graph)
    tracemalloc.start()
    kept = make_plan(study)
    graph = JobGraph(kept.jobs.values(), set(), estimate)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return Planning(plan.num_cells, len(graph.jobs), seconds, used / len(graph.jobs))


def timed(seconds: list[float], call: Callable, *args: Any) -> Any:
    started = time.process_time()
    result = call(*args)
    seconds.append(time.process_time() - started)
    return result


def publish_half(plan: Plan, out: Path) -> None:
    """Create empty files with the names of half of the rows; only the names matter."""
    folder = out / "results" / "runs"
    folder.mkdir(parents=True)
    for key in [key for key, job in plan.jobs.items() if job.makes == "row"][::2]:
        (folder / f"{key}.parquet").touch()


def hand_out(graph: JobGraph) -> None:
    while (job := graph.next_job()) is not None:
        graph.finish(job.key)
