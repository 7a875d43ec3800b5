"""How a run uses the cluster: choices that no result depends on."""

from dataclasses import dataclass
from math import inf

from salun_grid.grid.specs import Spec
from salun_grid.records.errors import InputError

# Ray counts resources in ten-thousandths.
SMALLEST_AMOUNT = 0.0001


@dataclass(frozen=True)
class Execution:
    """`address` None is a Ray on this machine; `allow_open_cluster` joins a cluster that asks for no token.

    `local` runs the jobs one after the other in this process, without Ray.

    `cpus_per_job` and `gpus_per_job` are what each worker of a job holds; None is one of each where there is one.
    `compile` asks for torch.compile. `detail` is how much is printed meanwhile: `quiet` only failures, `normal` a live
    view or a line for each finished job, `verbose` a line for each start and epoch as well.
    Raises InputError for a choice out of range, and for choices that exclude each other.
    """

    address: str | None = None
    cpus_per_job: float | None = None
    gpus_per_job: float | None = None
    workers: int = 1
    compile: bool = False
    detail: str = "normal"
    allow_open_cluster: bool = False
    local: bool = False

    def __post_init__(self) -> None:
        cpus, gpus = self.cpus_per_job, self.gpus_per_job
        if cpus is not None and not SMALLEST_AMOUNT <= cpus < inf:
            raise InputError(f"--cpus-per-job must be a finite number of at least {SMALLEST_AMOUNT}, not {cpus:g}.")
        if gpus is not None and not (gpus in (0, 1) or SMALLEST_AMOUNT <= gpus < 1 or (gpus > 1 and gpus % 1 == 0)):
            raise InputError(
                f"--gpus-per-job must be a whole number, or a fraction of one GPU of at least {SMALLEST_AMOUNT}, "
                f"not {gpus:g}."
            )
        if self.local and (self.address or self.allow_open_cluster or self.workers > 1):
            other = "--address" if self.address else "--workers" if self.workers > 1 else "--allow-open-cluster"
            raise InputError(f"--local runs the jobs in this process, without Ray; leave out {other}, or --local.")
        if self.workers < 1:
            raise InputError(f"--workers must be at least 1, not {self.workers}.")
        if self.compile and self.workers > 1:
            raise InputError("--compile works for trainings by one worker; leave it out, or --workers.")
        if self.workers > 1 and 0 < (self.gpus_per_job or 0) < 1:
            raise InputError("each of several workers needs a GPU of its own; give --gpus-per-job 1, or 0 for none.")

    def workers_of(self, job: Spec) -> int:
        """How many workers do `job`: several for a training from scratch, one for what is short."""
        return self.workers if job.distributed else 1
