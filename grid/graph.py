"""Which job may start next: the jobs' needs as a graph. Pure bookkeeping, no clock and no Ray."""

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable

from grid.plan import Job


class JobGraph:
    """Hands out jobs whose needs are met, the longest first; what needs a failed job is blocked with it.

    `cost` gives a job's expected seconds, in any unit; a job also counts what waits for it alone.
    """

    def __init__(self, jobs: Iterable[Job], done: set[str], cost: Callable[[Job], float]) -> None:
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
        self.ready = [(-chain[key], key) for key, needs in self.missing.items() if not needs]
        heapq.heapify(self.ready)
        self.num_waiting = len(self.jobs) - len(self.ready)
        self.failed: dict[str, str] = {}
        self.blocked: set[str] = set()

    @property
    def exhausted(self) -> bool:
        """Whether every job has been handed out or is blocked."""
        return not self.ready and self.num_waiting == 0

    def next_job(self) -> Job | None:
        """A job to start now, or None when none is ready."""
        return self.jobs[heapq.heappop(self.ready)[1]] if self.ready else None

    def finish(self, key: str) -> None:
        for dependent in self.dependents.pop(key, ()):
            self.missing[dependent].discard(key)
            if not self.missing[dependent] and dependent not in self.blocked:
                self.num_waiting -= 1
                heapq.heappush(self.ready, (-self.chain[dependent], dependent))

    def fail(self, key: str, reason: str) -> None:
        self.failed[key] = reason
        for dependent in self.dependents.pop(key, ()):
            if dependent not in self.blocked:
                self.blocked.add(dependent)
                self.num_waiting -= 1
