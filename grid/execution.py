"""How a run uses the cluster: the choices of a sitting that no result depends on."""

from dataclasses import dataclass

from grid.plan import Job


@dataclass(frozen=True)
class Execution:
    """`address` None is a local Ray; `cpus_per_job` and `gpus_per_job` None are one of each where there is one.

    `detail` is how much is told meanwhile: `quiet` failures alone, `normal` a live view or a line for each finished
    job, `verbose` a line for each start and epoch as well.
    """

    address: str | None = None
    cpus_per_job: float | None = None
    gpus_per_job: float | None = None
    workers: int = 1
    detail: str = "normal"

    def workers_of(self, job: Job) -> int:
        """How many workers do `job`; an unlearning is short, so one."""
        return 1 if job.kind == "unlearn" else self.workers
