"""Makespans on simulated GPUs of two speeds: what the order of the jobs is worth, and what it can promise."""

from collections.abc import Callable

import pytest

from benchmarks.simulation import ALL, AMPLE, SCARCE, Shape, gpus, longest_chain, plan_of, simulate
from salun_grid.grid.cost import GPU
from salun_grid.grid.plan import Plan
from salun_grid.grid.specs import Spec


@pytest.mark.parametrize("shape", AMPLE.values(), ids=AMPLE)
def test_a_study_ends_within_a_twentieth_of_the_lower_bound(shape: Shape) -> None:
    outcome = simulate(shape.plan(), gpus(shape.num_gpus), pending=shape.pending)
    assert 1 <= outcome.ratio <= 1.05


@pytest.mark.parametrize("seed", range(5))
def test_a_job_may_take_half_as_long_as_estimated_or_half_as_long_again(seed: int) -> None:
    plan = Shape().plan()
    assert 1 <= simulate(plan, gpus(256), pending=512, error=0.5, seed=seed).ratio <= 1.05


@pytest.mark.parametrize("shape", {**AMPLE, **SCARCE}.values(), ids={**AMPLE, **SCARCE})
def test_where_jobs_are_few_list_scheduling_keeps_its_own_promise(shape: Shape) -> None:
    outcome = simulate(shape.plan(), gpus(shape.num_gpus), pending=shape.pending)
    assert outcome.lower_bound <= outcome.makespan <= outcome.promise


def shortest_first(plan: Plan) -> Callable[[Spec], float]:
    seconds = GPU.seconds_of
    return lambda job: -seconds(job)


@pytest.mark.parametrize("priority", [shortest_first, lambda plan: lambda job: 0.0], ids=["shortest", "any"])
def test_any_other_order_misses_it(priority: Callable[[Plan], Callable[[Spec], float]]) -> None:
    plan = Shape().plan()
    outcome = simulate(plan, gpus(256), priority(plan))
    assert 1.05 * outcome.lower_bound < outcome.makespan <= outcome.promise


def naive_makespan(plan: Plan, num_gpus: int) -> float:
    """GPUs of speed 1: again and again, of the jobs that can start soonest, the one with the longest chain."""
    seconds = GPU.seconds_of

    def chain(key: str) -> float:
        waiting = [chain(other) for other, job in plan.jobs.items() if key in {need.key for need in job.needs}]
        return seconds(plan.jobs[key]) + max(waiting, default=0.0)

    chains = {key: chain(key) for key in plan.jobs}
    free, ends = [0.0] * num_gpus, dict[str, float]()
    while len(ends) < len(plan.jobs):
        starts = {
            key: max([min(free), *(ends[need.key] for need in job.needs)])
            for key, job in plan.jobs.items()
            if key not in ends and all(need.key in ends for need in job.needs)
        }
        soonest = [key for key, start in starts.items() if start == min(starts.values())]
        key = min(soonest, key=lambda key: (-chains[key], key))
        free.remove(min(free))
        ends[key] = starts[key] + seconds(plan.jobs[key])
        free.append(ends[key])
    return max(ends.values())


@pytest.mark.parametrize("num_gpus", [1, 2, 7, 100])
@pytest.mark.parametrize("methods", [ALL, ("original", "salun")])
def test_the_clock_agrees_with_a_naive_one(num_gpus: int, methods: tuple[str, ...]) -> None:
    plan = plan_of(72, methods, 200)
    assert simulate(plan, [1.0] * num_gpus).makespan == pytest.approx(naive_makespan(plan, num_gpus))


def test_one_gpu_takes_all_the_work_and_endless_ones_the_longest_chain() -> None:
    plan = Shape(72).plan()
    seconds = GPU.seconds_of
    work = {key: seconds(job) for key, job in plan.jobs.items()}
    assert simulate(plan, [2.0]).makespan == pytest.approx(sum(work.values()) / 2)
    assert simulate(plan, [2.0] * 1000).makespan == pytest.approx(longest_chain(plan, work) / 2)
