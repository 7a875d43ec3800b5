"""Execution options of a run: resources and output, on which no result depends."""

from dataclasses import dataclass
from math import inf

from salun_grid.grid.specs import Spec
from salun_grid.records.errors import InputError

# Ray counts resources in ten-thousandths.
SMALLEST_AMOUNT = 0.0001


@dataclass(frozen=True)
class Execution:
    """Options of a run. `address` None starts Ray on this machine; `allow_open_cluster` joins one without a token.

    `local` runs the jobs one by one in this process, without Ray. `cpus_per_job` and `gpus_per_job` are the resources
    of each worker; None means one CPU, and one GPU if there are GPUs. `compile` enables torch.compile. `detail` is the
    verbosity: `quiet` prints only failures, `normal` a live view or a line per finished job, `verbose` also a line per
    start and per epoch.
    Raises InputError for an option out of range and for incompatible options.
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
            raise InputError("--compile supports only one worker per training; leave it out, or --workers.")
        if self.workers > 1 and 0 < (self.gpus_per_job or 0) < 1:
            raise InputError("each of several workers needs its own GPU; give --gpus-per-job 1, or 0 for none.")

    def workers_of(self, job: Spec) -> int:
        """Number of workers for `job`: `workers` for a training from scratch, one for the shorter kinds."""
        return self.workers if job.distributed else 1
