"""Benchmarks of a whole small study against loops without Ray, and of the overhead of a job."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks.measure import DEVICE, Result, interleaved
from salun_grid.analysis.results import read_runs
from salun_grid.grid.jobs import Workplace, run_job
from salun_grid.grid.plan import Plan, make_plan
from salun_grid.grid.store import Store
from salun_grid.grid.study import Study, narrowed
from salun_grid.grid.study_file import find_study
from salun_grid.trainables.data import load

NUM_TINY = 100


@dataclass(frozen=True)
class Words:
    """A study as given on the command line."""

    axes: dict[str, tuple]
    settings: tuple[str, ...] = ()

    @property
    def study(self) -> Study:
        return narrowed(find_study("digits"), self.axes, self.settings)

    def run(self, out: str) -> None:
        """Run `salun-grid run` in its own process."""
        options = {"augmentations": "--augmentation", "methods": "--method", "forget_sets": "--forget"}
        options |= {"seeds": "--seed"}
        words = [word for axis, values in self.axes.items() for value in values for word in (options[axis], str(value))]
        words += [word for setting in self.settings for word in ("--set", setting)]
        call("salun_grid.grid", "run", "digits", *words, "--out", out, "--quiet")


SMALL = Words({"augmentations": ("default",), "methods": ("retrain", "salun")})
TINY = Words(
    {"augmentations": ("default",), "methods": ("retrain",), "forget_sets": ("random:0.5",), "seeds": (0,)},
    ("model.width=1", "training.epochs=1", "training.batch_size=600"),
)


def call(module: str, *words: str) -> None:
    subprocess.run([sys.executable, "-m", module, *words], check=True, stdout=subprocess.DEVNULL)


# --- (c) a whole small study --------------------------------------------------------------------------------------


def small_study(repetitions: int) -> list[Result]:
    """Time a whole study of 2 rates × 2 seeds with SalUn and the retrain, from scratch."""
    plan = make_plan(SMALL.study)
    cells = [(forget, seed) for forget in plan.study.forget_sets for seed in plan.study.seeds]
    variants: dict[str, Callable[[], object]] = {
        "a shell loop, fresh processes": partial(shell_loop, cells),
        "a careful loop, shared originals": partial(call, "benchmarks.whole", "careful"),
        "salun-grid run": partial(in_a_new_folder, SMALL.run),
    }
    case = f"{len(cells)} cells of digits, each SalUn and its retrain"
    return [Result(case, "studies", 1, interleaved(variants, repetitions, warm=False))]


def in_a_new_folder(act: Callable[[str], object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        act(f"{folder}/out")


def shell_loop(cells: list[tuple[str, int]]) -> None:
    """Run each cell separately: original, SalUn (mask and unlearning) and retrain, each in its own process."""
    for forget, seed in cells:
        with tempfile.TemporaryDirectory() as folder:
            for stage in ("original", "salun", "retrain"):
                call("benchmarks.whole", stage, forget, str(seed), folder)


def in_order(plan: Plan, out: str, methods: tuple[str, ...] = ("original", "retrain", "salun")) -> None:
    """Run the jobs of a plan sequentially in this process, with all threads of the machine."""
    for job in plan.jobs.values():
        if job.method in methods:
            dataset = load(plan.datasets[job.data.source])
            run_job(
                job,
                Workplace(plan.study, dataset, Store(out), DEVICE, lambda epoch: None),
                lambda loop: loop(),
            )


# --- (e) a job's cost beyond its compute ----------------------------------------------------------------------------


def tiny_jobs(repetitions: int) -> list[Result]:
    """Time a job that computes for only some hundredths of a second."""
    plan = make_plan(TINY.study)
    variants: dict[str, Callable[[], object]] = {
        "a fresh process": partial(call, "benchmarks.whole", "tiny"),
        "its compute alone": partial(in_a_new_folder, partial(in_order, plan)),
    }
    seconds = interleaved(variants, repetitions)
    seconds["salun-grid, after the first"] = [after_the_first() for _ in range(repetitions)]
    return [Result(f"a tiny job (in the grid the mean of {NUM_TINY})", "jobs", 1, seconds)]


def after_the_first() -> float:
    """Seconds per job between the first and the last row of one run."""
    with tempfile.TemporaryDirectory() as folder:
        replace(TINY, axes=TINY.axes | {"seeds": tuple(range(NUM_TINY))}).run(f"{folder}/out")
        finished = sorted(run["finished_at"] for run in read_runs(Path(folder, "out")))
    return (finished[-1] - finished[0]).total_seconds() / (len(finished) - 1)


if __name__ == "__main__":
    if sys.argv[1] in ("tiny", "careful"):
        in_a_new_folder(partial(in_order, make_plan({"tiny": TINY, "careful": SMALL}[sys.argv[1]].study)))
    else:
        stage, forget, seed, out = sys.argv[1:]
        in_order(make_plan(replace(SMALL.study, forget_sets=(forget,), seeds=(int(seed),))), out, (stage,))
