"""Capacity of a cluster's nodes against the resources of a job's workers. Plain arithmetic, without Ray."""

from dataclasses import dataclass

from salun_grid.grid.execution import SMALLEST_AMOUNT, Execution
from salun_grid.records.errors import InputError

Resources = dict[str, float]


@dataclass(frozen=True)
class Capacity:
    """The resources of each live node, by Ray's resource names."""

    nodes: tuple[Resources, ...]

    def slots(self, resources: Resources) -> int:
        """Number of workers with `resources` each that fit; a worker never spans two nodes."""
        return sum(
            min(units(node.get(name, 0)) // units(amount) for name, amount in resources.items()) for node in self.nodes
        )

    def job_resources(self, execution: Execution) -> Resources:
        """Resources of one worker: one CPU, and one GPU if there are GPUs, unless `execution` overrides them."""
        has_gpu = any(node.get("GPU", 0) > 0 for node in self.nodes)
        gpus = float(has_gpu) if execution.gpus_per_job is None else execution.gpus_per_job
        cpus = 1.0 if execution.cpus_per_job is None else execution.cpus_per_job
        return {"CPU": cpus, **({"GPU": gpus} if gpus else {})}

    def shortage(self, resources: Resources, workers: int) -> str:
        """What a job of `workers` with `resources` each needs and what is available, or "" if it fits."""
        if self.slots(resources) >= workers:
            return ""
        each = f"{workers} workers with {in_words(resources)} each" if workers > 1 else in_words(resources)
        largest = max(self.nodes, key=lambda node: tuple(node.get(name, 0) for name in reversed(resources)), default={})
        nodes = f"{len(self.nodes)} nodes, the largest with " if len(self.nodes) > 1 else ""
        return f"{each} (there is {nodes}{in_words({name: largest.get(name, 0) for name in resources})})"

    def check(self, execution: Execution, workers: int) -> None:
        """Raise InputError if a job of `workers` can never fit, as on a cluster of fixed size."""
        if shortage := self.shortage(self.job_resources(execution), workers):
            raise InputError(
                f"a job needs {shortage}, so it would wait forever; lower --cpus-per-job, --gpus-per-job or --workers."
            )


def units(amount: float) -> int:
    """`amount` in Ray's integer units, so that ten tenths make one."""
    return round(amount / SMALLEST_AMOUNT)


def in_words(resources: Resources) -> str:
    """Resources as text: `4 CPU and 1 GPU`."""
    return " and ".join(f"{amount:g} {name}" for name, amount in resources.items())
