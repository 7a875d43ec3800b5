"""How a run uses the cluster: the choices of a sitting that no result depends on."""

import os
from dataclasses import dataclass
from math import isfinite

from grid.plan import Job
from trainables.errors import InputError


@dataclass(frozen=True)
class Execution:
    """`address` None is a Ray on this machine; `allow_open_cluster` joins a cluster that asks for no token.

    `cpus_per_job` and `gpus_per_job` are what each worker of a job holds; None is one of each where there is one.
    `compile` asks for torch.compile. `detail` is how much is printed meanwhile: `quiet` only failures, `normal` a live
    view or a line for each finished job, `verbose` a line for each start and epoch as well.
    Raises InputError for choices that are no finite numbers or do not go together.
    """

    address: str | None = None
    cpus_per_job: float | None = None
    gpus_per_job: float | None = None
    workers: int = 1
    compile: bool = False
    detail: str = "normal"
    allow_open_cluster: bool = False

    def __post_init__(self) -> None:
        for option, amount in (("--cpus-per-job", self.cpus_per_job), ("--gpus-per-job", self.gpus_per_job)):
            if amount is not None and not isfinite(amount):
                raise InputError(f"{option} must be a finite number, not {amount}.")
        if self.compile and self.workers > 1:
            raise InputError("--compile works for trainings by one worker; leave it out, or --workers.")
        if self.workers > 1 and 0 < (self.gpus_per_job or 0) < 1:
            raise InputError("each of several workers needs a GPU of its own; give --gpus-per-job 1, or 0 for none.")

    def workers_of(self, job: Job) -> int:
        """How many workers do `job`; an unlearning is short, so one."""
        return 1 if job.kind == "unlearn" else self.workers

    def check_machine(self) -> None:
        """Raise InputError where one machine can never give the workers of a job what they hold."""
        import torch  # only to count GPUs

        available = {"CPU": float(num_cpus()), "GPU": float(torch.cuda.device_count())}
        cpus = 1.0 if self.cpus_per_job is None else self.cpus_per_job
        for name, each in (("CPU", cpus), ("GPU", self.gpus_per_job or 0.0)):
            if each * self.workers > available[name]:
                workers = f" for each of {self.workers} workers" if self.workers > 1 else ""
                raise InputError(
                    f"a job asks for {each:g} {name}{workers}, and this machine has {available[name]:g}; "
                    f"lower --{name.lower()}s-per-job{' or --workers' * (self.workers > 1)}."
                )


def num_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
