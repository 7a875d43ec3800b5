"""What nodes can hold, and what a job of several workers asks for."""

import pytest

from salun_grid.grid.capacity import Capacity
from salun_grid.grid.execution import Execution
from salun_grid.records.errors import InputError

TWO_NODES = Capacity(({"CPU": 3.0}, {"CPU": 3.0}))


@pytest.mark.parametrize(
    ("nodes", "resources", "slots"),
    [
        (TWO_NODES.nodes, {"CPU": 2.0}, 2),
        (TWO_NODES.nodes, {"CPU": 4.0}, 0),
        (({"CPU": 16.0, "GPU": 1.0},), {"CPU": 1.0, "GPU": 0.1}, 10),
        (({"CPU": 1.0},), {"CPU": 0.1}, 10),
        (({"CPU": 8.0},), {"CPU": 1.0, "GPU": 1.0}, 0),
        ((), {"CPU": 1.0}, 0),
    ],
)
def test_room_is_counted_node_by_node(nodes: tuple, resources: dict, slots: int) -> None:
    assert Capacity(nodes).slots(resources) == slots


def test_a_job_holds_a_gpu_where_there_is_one() -> None:
    assert TWO_NODES.job_resources(Execution()) == {"CPU": 1.0}
    assert Capacity(({"CPU": 0.0}, {"CPU": 8.0, "GPU": 2.0})).job_resources(Execution()) == {"CPU": 1.0, "GPU": 1.0}
    assert Capacity(()).job_resources(Execution(cpus_per_job=2, gpus_per_job=0.5)) == {"CPU": 2.0, "GPU": 0.5}


@pytest.mark.parametrize(
    ("resources", "workers", "text"),
    [
        ({"CPU": 2.0}, 2, ""),
        ({"CPU": 4.0}, 1, "4 CPU (there is 2 nodes, the largest with 3 CPU)"),
        ({"CPU": 2.0}, 3, "3 workers with 2 CPU each (there is 2 nodes, the largest with 3 CPU)"),
        ({"CPU": 1.0, "GPU": 1.0}, 1, "1 CPU and 1 GPU (there is 2 nodes, the largest with 3 CPU and 0 GPU)"),
    ],
)
def test_a_shortage_names_what_there_is(resources: dict, workers: int, text: str) -> None:
    assert TWO_NODES.shortage(resources, workers) == text


def test_what_can_never_fit_is_refused() -> None:
    machine = Capacity(({"CPU": 2.0, "GPU": 0.0},))
    machine.check(Execution(cpus_per_job=2), workers=1)
    with pytest.raises(InputError, match=r"a job needs 1 CPU and 1 GPU \(there is 2 CPU and 0 GPU\), so it would wait"):
        machine.check(Execution(gpus_per_job=1), workers=1)
    with pytest.raises(InputError, match=r"a job needs 3 workers with 1 CPU each \(there is 2 CPU\)"):
        machine.check(Execution(workers=3), workers=3)


@pytest.mark.parametrize("amount", [float("nan"), float("inf"), -1.0, 0.0, 0.00001])
def test_cpus_are_a_positive_finite_number(amount: float) -> None:
    with pytest.raises(InputError, match=r"--cpus-per-job must be a finite number of at least 0.0001, not"):
        Execution(cpus_per_job=amount)


@pytest.mark.parametrize("amount", [float("nan"), float("inf"), -1.0, 1.5, 0.00001])
def test_gpus_are_whole_or_a_fraction_of_one(amount: float) -> None:
    with pytest.raises(InputError, match="--gpus-per-job must be a whole number, or a fraction of one GPU of at least"):
        Execution(gpus_per_job=amount)
    for good in (0.0, 0.5, 1.0, 8.0):
        Execution(gpus_per_job=good)
