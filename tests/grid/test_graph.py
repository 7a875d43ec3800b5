"""The order in which jobs are handed out."""

import random

import pytest

from salun_grid.grid.graph import JobGraph
from tests.support.studies import FakeJob as Job


def job(key: str, needs: tuple[str, ...] = (), images: int = 1) -> Job:
    return Job(key, tuple(Job(need) for need in needs), images)


def graph(*jobs: Job, done: set[str] | None = None) -> JobGraph:
    return JobGraph(jobs, done or set(), lambda job: job.work.train_images)


def drain(g: JobGraph) -> list[str]:
    """Keys in the order of a single machine that finishes each job before it asks for the next."""
    order = []
    while (found := g.next_job()) is not None:
        order.append(found.key)
        g.finish(found.key)
    return order


def test_longest_chain_first() -> None:
    jobs = [job("short", images=2), job("long", images=5), job("root", images=3), job("leaf", ("root",), images=4)]
    assert drain(graph(*jobs)) == ["root", "long", "leaf", "short"]


def test_a_job_waits_for_its_need_only() -> None:
    g = graph(job("a", images=9), job("b", ("a",)), job("c"))
    assert g.next_job().key == "a"
    assert g.next_job().key == "c"
    assert g.next_job() is None
    assert not g.exhausted
    g.finish("a")
    assert g.next_job().key == "b"
    assert g.exhausted


def test_what_is_done_is_not_waited_for() -> None:
    assert drain(graph(job("a"), job("b", ("a",)), done={"a"})) == ["b"]


def test_a_failure_blocks_what_needs_it_and_nothing_else() -> None:
    g = graph(job("a", images=9), job("b", ("a",)), job("c"))
    g.next_job()
    g.fail("a", "out of memory")
    assert (g.failed, g.blocked) == ({"a": "out of memory"}, {"b"})
    assert drain(g) == ["c"]
    assert g.exhausted


def test_a_failure_blocks_all_that_comes_after() -> None:
    g = graph(job("a", images=9), job("b", ("a",)), job("c", ("b",)), job("d", ("a", "b")), job("e"))
    g.next_job()
    g.fail("a", "out of memory")
    assert g.blocked == {"b", "c", "d"}
    assert drain(g) == ["e"]
    assert g.exhausted


def needs_of(job: Job) -> set[str]:
    return {need.key for need in job.needs}


@pytest.mark.parametrize("seed", range(20))
def test_a_chain_is_the_longest_way_to_an_end(seed: int) -> None:
    draw = random.Random(seed)
    keys = [f"{i:02}" for i in range(30)]
    jobs = [
        job(key, tuple(draw.sample(keys[:i], min(i, draw.randrange(3)))), draw.randrange(1, 100))
        for i, key in enumerate(keys)
    ]

    def longest(key: str) -> int:
        own = next(job.work.train_images for job in jobs if job.key == key)
        return own + max((longest(job.key) for job in jobs if key in needs_of(job)), default=0)

    g, done = graph(*jobs), set[str]()
    while (found := g.next_job()) is not None:
        ready = [job.key for job in jobs if job.key not in done and needs_of(job) <= done]
        assert found.key == min(ready, key=lambda key: (-longest(key), key))
        done.add(found.key)
        g.finish(found.key)
    assert len(done) == len(jobs)


# --- a graph that grows -------------------------------------------------------------------------------------


def test_a_job_added_later_waits_for_a_running_need() -> None:
    g = graph(job("a"))
    assert g.next_job().key == "a"
    assert [added.key for added in g.add([job("a"), job("b", ("a",)), job("c")])] == ["b", "c"]
    assert g.next_job().key == "c" and g.next_job() is None and not g.exhausted
    g.finish("a")
    assert g.next_job().key == "b"
    assert g.add([job("a"), job("d", ("a",))])[0].key == "d"  # its need is done
    assert g.next_job().key == "d"


def test_a_job_added_to_a_failed_need_is_blocked_with_what_needs_it() -> None:
    g = graph(job("a"), job("b", ("a",)))
    g.next_job()
    g.fail("a", "out of memory")
    g.add([job("c", ("a",)), job("d", ("c",)), job("e", ("b",)), job("f")])
    assert g.blocked == {"b", "c", "d", "e"}
    assert drain(g) == ["f"] and g.exhausted


def test_a_finished_job_may_ask_for_others_and_the_run_waits_for_that() -> None:
    """A bisection: each result asks for the next job, with a need of its own, until nothing is asked for."""
    asked = {"a": [job("b", ("n",))], "b": [job("b", ("n",)), job("c")]}
    g = JobGraph([job("a")], set(), lambda job: 1.0, grow=lambda done: asked.get(done.key, []))
    assert g.next_job().key == "a" and g.next_job() is None
    assert not g.exhausted  # what runs may still ask
    assert [added.key for added in g.finish("a")] == ["n", "b"]
    assert drain(g) == ["n", "b", "c"] and g.exhausted
    assert set(g.jobs) == {"a", "n", "b", "c"}


def test_a_need_that_is_done_is_not_asked_for_again() -> None:
    g = JobGraph([job("a")], {"n"}, lambda job: 1.0, grow=lambda done: [job("b", ("n",))] if done.key == "a" else [])
    assert drain(g) == ["a", "b"]
