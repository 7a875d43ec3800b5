"""Which job may start next: the jobs' needs as a graph. Pure bookkeeping, no clock and no Ray."""

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable

from grid.plan import Job


class JobGraph:
    """Hands out jobs whose needs are met, the longest first; what needs a failed job is blocked with it.

    `cost` gives a job's expected seconds, in any unit; a job also counts what waits for it alone.
    `workers_of` a job are how many do it; jobs of each number queue apart, so that one may pass another.
    """

    def __init__(
        self,
        jobs: Iterable[Job],
        done: set[str],
        cost: Callable[[Job], float],
        workers_of: Callable[[Job], int] = lambda job: 1,
    ) -> None:
        self.workers_of = workers_of
        self.jobs = {job.key: job for job in jobs if job.key not in done}
        self.missing = {key: {need for need in job.needs if need in self.jobs} for key, job in self.jobs.items()}
        self.dependents: dict[str, list[str]] = defaultdict(list)
        for key, needs in self.missing.items():
            for need in needs:
                self.dependents[need].append(key)
        chain = {key: cost(job) for key, job in self.jobs.items()}
        for key, dependents in self.dependents.items():
            chain[key] += max(cost(self.jobs[dependent]) for dependent in dependents)
        self.chain = chain
        self.ready: dict[int, list[tuple[float, str]]] = defaultdict(list)
        self.num_ready, self.num_waiting = 0, len(self.jobs)
        for key, needs in self.missing.items():
            if not needs:
                self._make_ready(key)
        self.failed: dict[str, str] = {}
        self.blocked: set[str] = set()

    @property
    def exhausted(self) -> bool:
        """Whether every job has been handed out or is blocked."""
        return self.num_ready == 0 and self.num_waiting == 0

    def next_job(self, fits: Callable[[int], bool] = lambda workers: True) -> Job | None:
        """The longest ready job of those whose number of workers `fits` now, or None."""
        heads = [heap[0] for workers, heap in self.ready.items() if heap and fits(workers)]
        if not heads:
            return None
        job = self.jobs[min(heads)[1]]
        heapq.heappop(self.ready[self.workers_of(job)])
        self.num_ready -= 1
        return job

    def finish(self, key: str) -> None:
        for dependent in self.dependents.pop(key, ()):
            self.missing[dependent].discard(key)
            if not self.missing[dependent] and dependent not in self.blocked:
                self._make_ready(dependent)

    def fail(self, key: str, reason: str) -> None:
        self.failed[key] = reason
        for dependent in self.dependents.pop(key, ()):
            if dependent not in self.blocked:
                self.blocked.add(dependent)
                self.num_waiting -= 1

    def _make_ready(self, key: str) -> None:
        self.num_waiting -= 1
        self.num_ready += 1
        heapq.heappush(self.ready[self.workers_of(self.jobs[key])], (-self.chain[key], key))
