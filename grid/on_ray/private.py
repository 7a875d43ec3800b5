"""All private names of Ray and Tune that are used or replaced, checked with Ray 2.56 to 2.60.

If a later Ray lacks one, this module fails at import, and tests/grid/test_private.py reports its name.
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
    """Allow this process to join a cluster of several nodes, or restrict it to loopback. Ray reads this at import."""
    ray_constants.ENABLE_RAY_CLUSTER = allowed
    # `uv run` around each worker would reinstall the environment.
    ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV = False


@contextmanager
def own_signal_handlers() -> Iterator[None]:
    """Keep this program's SIGTERM handler while Ray starts: Ray's exits silently, or is swallowed.

    A second handler, in Ray's C++ code, prints a stack trace first and aborts the process if that takes over 3 s.
    """
    known, handler = ray_utils.set_sigterm_handler, signal.getsignal(signal.SIGTERM)
    ray_utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        ray_utils.set_sigterm_handler = known
        if handler is not None:  # None: not installed from Python
            signal.signal(signal.SIGTERM, handler)


def num_cpus() -> int:
    """CPUs for a local Ray: Ray's count, or fewer if this process has a smaller CPU affinity."""
    counted = ResourceAndLabelSpec().resolve(is_head=True).num_cpus
    return min(counted, len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else counted


def resources_of_this_machine() -> dict[str, float]:
    """The resources of a Ray instance started on this machine."""
    spec = ResourceAndLabelSpec(num_cpus=num_cpus()).resolve(is_head=True)
    return {"CPU": spec.num_cpus, "GPU": spec.num_gpus}


def restart_what_runs_out_of_memory() -> None:
    """Treat a kill by Ray's memory monitor as the death of an actor: the job is restarted, then fails alone.

    Its error type makes Tune 2.60 end the whole run. Idempotent.
    """
    known = RayActorManager._actor_task_failed
    if known.__name__ == "actor_task_failed_or_died":
        return

    def actor_task_failed_or_died(manager: RayActorManager, tracked_actor_task: Any, exception: Exception) -> None:
        killed = isinstance(exception, OutOfMemoryError)
        known(manager, tracked_actor_task, RayActorError(error_msg=str(exception)) if killed else exception)

    RayActorManager._actor_task_failed = actor_task_failed_or_died
