"""Which job may start next: the jobs' needs as a graph. Pure bookkeeping, no clock and no Ray."""

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable

from grid.specs import Spec


class JobGraph:
    """Hands out jobs whose needs are met, the longest chain first; what needs a failed job is blocked with it.

    `jobs` come each after what it needs, as in a plan. `seconds` estimates a job's time, in any unit; a job's chain is
    its own time and that of the longest chain that waits for it. (List scheduling by the longest chain: Graham,
    "Bounds on multiprocessing timing anomalies", SIAM J. Appl. Math. 17, 1969.)
    `workers_of` a job are how many do it; jobs of each number queue apart, so that one may pass another.
    """

    def __init__(
        self,
        jobs: Iterable[Spec],
        done: set[str],
        seconds: Callable[[Spec], float],
        workers_of: Callable[[Spec], int] = lambda job: 1,
    ) -> None:
        self.workers_of = workers_of
        self.jobs = {job.key: job for job in jobs if job.key not in done}
        self.num_missing: dict[str, int] = {}
        self.dependents: dict[str, list[str]] = {}
        for key, job in self.jobs.items():
            needs = [need.key for need in job.needs if need.key in self.jobs]
            for need in needs:
                self.dependents.setdefault(need, []).append(key)
            if needs:
                self.num_missing[key] = len(needs)
        self.chain: dict[str, float] = {}
        for key, job in reversed(self.jobs.items()):
            waiting = max((self.chain[dependent] for dependent in self.dependents.get(key, ())), default=0.0)
            self.chain[key] = seconds(job) + waiting
        self.ready: dict[int, list[tuple[float, str]]] = defaultdict(list)
        for key in self.jobs:
            if key not in self.num_missing:
                self._make_ready(key)
        self.failed: dict[str, str] = {}
        self.blocked: set[str] = set()

    @property
    def exhausted(self) -> bool:
        """Whether every job has been handed out or is blocked."""
        return not self.num_missing and not any(self.ready.values())

    def next_job(self, fits: Callable[[int], bool] = lambda workers: True) -> Spec | None:
        """The ready job with the longest chain, of those whose number of workers `fits` now, or None."""
        heads = [heap[0] for workers, heap in self.ready.items() if heap and fits(workers)]
        if not heads:
            return None
        job = self.jobs[min(heads)[1]]
        heapq.heappop(self.ready[self.workers_of(job)])
        return job

    def finish(self, key: str) -> None:
        for dependent in self.dependents.pop(key, ()):
            if dependent in self.blocked:
                continue
            self.num_missing[dependent] -= 1
            if not self.num_missing[dependent]:
                del self.num_missing[dependent]
                self._make_ready(dependent)

    def fail(self, key: str, reason: str) -> None:
        self.failed[key] = reason
        self._block_dependents(key)

    def _make_ready(self, key: str) -> None:
        heapq.heappush(self.ready[self.workers_of(self.jobs[key])], (-self.chain[key], key))

    def _block_dependents(self, key: str) -> None:
        for dependent in self.dependents.pop(key, ()):
            if dependent not in self.blocked:
                self.blocked.add(dependent)
                del self.num_missing[dependent]
                self._block_dependents(dependent)
