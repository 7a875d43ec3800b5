"""What the nodes of a cluster can hold, against what the workers of a job ask for. Plain numbers, without Ray."""

from dataclasses import dataclass

from salun_grid.grid.execution import SMALLEST_AMOUNT, Execution
from salun_grid.records.errors import InputError

Resources = dict[str, float]


@dataclass(frozen=True)
class Capacity:
    """The resources of each live node, by Ray's names for them."""

    nodes: tuple[Resources, ...]

    def slots(self, resources: Resources) -> int:
        """How many workers that hold `resources` each have room; a worker never spans two nodes."""
        return sum(
            min(units(node.get(name, 0)) // units(amount) for name, amount in resources.items()) for node in self.nodes
        )

    def job_resources(self, execution: Execution) -> Resources:
        """What one worker holds: a CPU, and a GPU where there are GPUs, unless `execution` says otherwise."""
        has_gpu = any(node.get("GPU", 0) > 0 for node in self.nodes)
        gpus = float(has_gpu) if execution.gpus_per_job is None else execution.gpus_per_job
        cpus = 1.0 if execution.cpus_per_job is None else execution.cpus_per_job
        return {"CPU": cpus, **({"GPU": gpus} if gpus else {})}

    def shortage(self, resources: Resources, workers: int) -> str:
        """What a job of `workers` that hold `resources` each needs and what there is, or "" where it fits."""
        if self.slots(resources) >= workers:
            return ""
        each = f"{workers} workers with {in_words(resources)} each" if workers > 1 else in_words(resources)
        largest = max(self.nodes, key=lambda node: tuple(node.get(name, 0) for name in reversed(resources)), default={})
        nodes = f"{len(self.nodes)} nodes, the largest with " if len(self.nodes) > 1 else ""
        return f"{each} (there is {nodes}{in_words({name: largest.get(name, 0) for name in resources})})"

    def check(self, execution: Execution, workers: int) -> None:
        """Raise InputError where a job of `workers` can never fit, since no other nodes will come."""
        if shortage := self.shortage(self.job_resources(execution), workers):
            raise InputError(
                f"a job needs {shortage}, so it would wait forever; lower --cpus-per-job, --gpus-per-job or --workers."
            )


def units(amount: float) -> int:
    """`amount` as Ray counts it, so that ten tenths are one."""
    return round(amount / SMALLEST_AMOUNT)


def in_words(resources: Resources) -> str:
    """`4 CPU and 1 GPU`."""
    return " and ".join(f"{amount:g} {name}" for name, amount in resources.items())
