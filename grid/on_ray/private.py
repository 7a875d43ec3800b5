"""Every private name of Ray and Tune that we use or replace, checked with Ray 2.56 to 2.60.

A name that a later Ray does not have fails at import, and in tests/grid/test_private.py with its name.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray._private import ray_constants
from ray._private import utils as ray_utils
from ray._private.resource_and_label_spec import ResourceAndLabelSpec
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError


def allow_cluster(allowed: bool) -> None:
    """Whether this process joins a cluster of several nodes, or keeps to loopback. Ray reads its variable at import."""
    ray_constants.ENABLE_RAY_CLUSTER = allowed
    # `uv run` around each worker would install the environment anew.
    ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV = False


@contextmanager
def own_signal_handlers() -> Iterator[None]:
    """Keep the handler of SIGTERM while Ray starts: its own one exits silently, or is swallowed.

    A second one, of Ray's C++, prints a stack trace first, and aborts the process where that takes over 3 s.
    """
    known, handler = ray_utils.set_sigterm_handler, signal.getsignal(signal.SIGTERM)
    ray_utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        ray_utils.set_sigterm_handler = known
        if handler is not None:  # one that Python did not install cannot be named
            signal.signal(signal.SIGTERM, handler)


def num_cpus() -> int:
    """CPUs for a Ray on this machine: what Ray counts, or fewer where this process is confined to some of them."""
    counted = ResourceAndLabelSpec().resolve(is_head=True).num_cpus
    return min(counted, len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else counted


def resources_of_this_machine() -> dict[str, float]:
    """What a Ray started on this machine will have."""
    spec = ResourceAndLabelSpec(num_cpus=num_cpus()).resolve(is_head=True)
    return {"CPU": spec.num_cpus, "GPU": spec.num_gpus}


def restart_what_runs_out_of_memory() -> None:
    """Ray's memory monitor kills a process with an error of its own, over which Tune 2.60 ends the whole run.

    From here on that is the death of an actor like any other: the job is started again, then fails alone. Calling it
    twice changes nothing more.
    """
    known = RayActorManager._actor_task_failed
    if known.__name__ == "actor_task_failed_or_died":
        return

    def actor_task_failed_or_died(manager: RayActorManager, tracked_actor_task: Any, exception: Exception) -> None:
        killed = isinstance(exception, OutOfMemoryError)
        known(manager, tracked_actor_task, RayActorError(error_msg=str(exception)) if killed else exception)

    RayActorManager._actor_task_failed = actor_task_failed_or_died
