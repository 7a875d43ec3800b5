"""The order in which jobs are handed out."""

from grid.graph import JobGraph
from grid.plan import Job


def job(key: str, needs: tuple[str, ...] = (), images: int = 1) -> Job:
    return Job(key, "unlearn", "d", "none", 0, "m", 0.1, key, "", "", needs, images)


def graph(*jobs: Job, done: set[str] | None = None) -> JobGraph:
    return JobGraph(jobs, done or set(), lambda job: job.train_images)


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
