"""The dependency graph of jobs, and which job starts next. Pure bookkeeping, without a clock or Ray."""

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable

from salun_grid.grid.specs import Spec


class JobGraph:
    """Dependency graph that hands out ready jobs, longest chain first. A failed job blocks its dependents.

    `jobs` are in topological order, as in a plan. `seconds` estimates the time of a job, in any unit; the chain of a
    job is its own time plus the longest chain among its dependents. (List scheduling by the longest chain: Graham,
    "Bounds on multiprocessing timing anomalies", SIAM J. Appl. Math. 17, 1969.)
    `workers_of` is the number of workers of a job; each number has its own queue, so that a job that does not fit does
    not hold up smaller ones. `grow` is called with each finished job, whose result is published, and returns specs to
    add with their dependencies, unless they are in the graph.
    """

    def __init__(
        self,
        jobs: Iterable[Spec],
        done: set[str],
        seconds: Callable[[Spec], float],
        workers_of: Callable[[Spec], int] = lambda job: 1,
        grow: Callable[[Spec], Iterable[Spec]] | None = None,
    ) -> None:
        self.workers_of, self.seconds, self.grow = workers_of, seconds, grow
        self.running: set[str] = set()
        self.jobs: dict[str, Spec] = {}
        self.num_missing: dict[str, int] = {}
        self.dependents: dict[str, list[str]] = {}
        self.chain: dict[str, float] = {}
        self.ready: dict[int, list[tuple[float, str]]] = defaultdict(list)
        self.finished: set[str] = set(done)
        self.failed: dict[str, str] = {}
        self.blocked: set[str] = set()
        self.add(jobs)

    def add(self, jobs: Iterable[Spec]) -> list[Spec]:
        """Add jobs, in topological order, at any time; returns those that are new and not done.

        Dependents of a failed or blocked job are blocked. The chains of earlier jobs keep their lengths.
        """
        new = {job.key: job for job in jobs if job.key not in self.jobs and job.key not in self.finished}
        self.jobs |= new
        for key, job in new.items():
            needs = [need.key for need in job.needs if need.key in self.jobs and need.key not in self.finished]
            for need in needs:
                self.dependents.setdefault(need, []).append(key)
            if needs:
                self.num_missing[key] = len(needs)
        for key, job in reversed(new.items()):
            waiting = max((self.chain[dependent] for dependent in self.dependents.get(key, ())), default=0.0)
            self.chain[key] = self.seconds(job) + waiting
        for key in new:
            if key not in self.num_missing:
                self._make_ready(key)
        for stopped in (*self.failed, *self.blocked):
            self._block_dependents(stopped)
        return list(new.values())

    @property
    def exhausted(self) -> bool:
        """Whether every job has been handed out or is blocked, and no running job can add another."""
        return not self.num_missing and not any(self.ready.values()) and not (self.grow and self.running)

    def next_job(self, fits: Callable[[int], bool] = lambda workers: True) -> Spec | None:
        """The ready job with the longest chain among those whose number of workers `fits`, or None."""
        heads = [heap[0] for workers, heap in self.ready.items() if heap and fits(workers)]
        if not heads:
            return None
        job = self.jobs[min(heads)[1]]
        heapq.heappop(self.ready[self.workers_of(job)])
        self.running.add(job.key)
        return job

    def finish(self, key: str) -> list[Spec]:
        """Mark a job as published. Returns the jobs that `grow` adds."""
        self.finished.add(key)
        self.running.discard(key)
        for dependent in self.dependents.pop(key, ()):
            if dependent in self.blocked:
                continue
            self.num_missing[dependent] -= 1
            if not self.num_missing[dependent]:
                del self.num_missing[dependent]
                self._make_ready(dependent)
        return self.add(closure(self.grow(self.jobs[key]), self.finished).values()) if self.grow else []

    def fail(self, key: str, reason: str) -> None:
        self.failed[key] = reason
        self.running.discard(key)
        self._block_dependents(key)

    def _make_ready(self, key: str) -> None:
        heapq.heappush(self.ready[self.workers_of(self.jobs[key])], (-self.chain[key], key))

    def _block_dependents(self, key: str) -> None:
        for dependent in self.dependents.pop(key, ()):
            if dependent not in self.blocked:
                self.blocked.add(dependent)
                del self.num_missing[dependent]
                self._block_dependents(dependent)


def closure(specs: Iterable[Spec], done: set[str] | frozenset[str] = frozenset()) -> dict[str, Spec]:
    """`specs` and their dependencies by key, in topological order, without `done` and what only `done` needs."""
    found: dict[str, Spec] = {}

    def visit(spec: Spec) -> None:
        if spec.key in found or spec.key in done:
            return
        for need in spec.needs:
            visit(need)
        found[spec.key] = spec

    for spec in specs:
        visit(spec)
    return found
