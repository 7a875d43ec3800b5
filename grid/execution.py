"""How a run uses the cluster: the choices of a sitting that no result depends on."""

from dataclasses import dataclass

from grid.plan import Job
from trainables.errors import InputError


@dataclass(frozen=True)
class Execution:
    """`address` None is a local Ray; `cpus_per_job` and `gpus_per_job` None are one of each where there is one.

    `compile` asks for torch.compile. `detail` is how much is told meanwhile: `quiet` failures alone, `normal` a live
    view or a line for each finished job, `verbose` a line for each start and epoch as well.
    Raises InputError for choices that do not go together.
    """

    address: str | None = None
    cpus_per_job: float | None = None
    gpus_per_job: float | None = None
    workers: int = 1
    compile: bool = False
    detail: str = "normal"

    def __post_init__(self) -> None:
        if self.compile and self.workers > 1:
            raise InputError("--compile works for trainings by one worker; leave it out, or --workers.")
        if self.workers > 1 and 0 < (self.gpus_per_job or 0) < 1:
            raise InputError("each of several workers needs a GPU of its own; give --gpus-per-job 1, or 0 for none.")

    def workers_of(self, job: Job) -> int:
        """How many workers do `job`; an unlearning is short, so one."""
        return 1 if job.kind == "unlearn" else self.workers
