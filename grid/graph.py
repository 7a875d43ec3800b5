"""Which job may start next: the jobs' needs as a graph. Pure bookkeeping, no clock and no Ray."""

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable

from salun_grid.grid.specs import Spec, closure


class JobGraph:
    """Hands out jobs whose needs are met, the longest chain first; what needs a failed job is blocked with it.

    `jobs` come each after what it needs, as in a plan. `seconds` estimates a job's time, in any unit; a job's chain is
    its own time and that of the longest chain that waits for it. (List scheduling by the longest chain: Graham,
    "Bounds on multiprocessing timing anomalies", SIAM J. Appl. Math. 17, 1969.)
    `workers_of` a job are how many do it; jobs of each number queue apart, so that one may pass another.
    `grow` sees each finished job, whose result is published, and names the specs that it asks for; they and what they
    need join the graph unless they are there.
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
        """Take in more jobs, each after what it needs, at any time; returns those that are new and not done.

        What needs a failed or blocked job is blocked. The chains of jobs that were there before keep their lengths.
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
        """Whether every job has been handed out or is blocked, and none of them can add another."""
        return not self.num_missing and not any(self.ready.values()) and not (self.grow and self.running)

    def next_job(self, fits: Callable[[int], bool] = lambda workers: True) -> Spec | None:
        """The ready job with the longest chain, of those whose number of workers `fits` now, or None."""
        heads = [heap[0] for workers, heap in self.ready.items() if heap and fits(workers)]
        if not heads:
            return None
        job = self.jobs[min(heads)[1]]
        heapq.heappop(self.ready[self.workers_of(job)])
        self.running.add(job.key)
        return job

    def finish(self, key: str) -> list[Spec]:
        """A job is published. Returns the jobs that `grow` adds because of it."""
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
