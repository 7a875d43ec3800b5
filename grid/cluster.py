"""The Ray cluster: a local one started for the run, or one that is already up; and Ray's own noise, kept in a file."""

import io
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

# Before Ray is imported: no result files of Tune's own (the Parquet is ours), no snapshots of the experiment while it
# runs (12 kB a trial, all of them each time; a run resumes by what is published), no `uv run` around each worker, and
# Ctrl-C reaches us.
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "inf")
os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

# A cluster that was started with Ray's token asks for it; Ray looks for the token only where the mode is set.
if (
    "RAY_AUTH_TOKEN" in os.environ
    or Path(os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token")).expanduser().exists()
):
    os.environ.setdefault("RAY_AUTH_MODE", "token")

import ray
from ray._private import ray_constants

from grid.execution import Execution
from trainables.errors import InputError


@contextmanager
def connected(address: str | None, log_file: Path) -> Iterator[None]:
    """Ray, local when `address` is None, with everything that Ray logs or prints in `log_file`; left at the end.

    What we print meanwhile needs a stream that was taken before. Raises InputError when nothing answers at `address`.
    """
    # Whoever reaches a port of Ray's can run code here; a Ray of one machine listens on loopback alone.
    ray_constants.ENABLE_RAY_CLUSTER = address is not None
    with noise_in(log_file):
        try:
            ray.init(
                address=address or "local",
                include_dashboard=None if address else False,
                log_to_driver=False,
                namespace="salun-grid",
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            if address is None:
                raise
            reason = str(error).partition("\n")[0]
            raise InputError(f"cannot join the Ray cluster at {address} ({reason}); the log is {log_file}.") from None
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def noise_in(log_file: Path) -> Iterator[None]:
    """Log records, warnings and prints (Ray prints that a process died) into `log_file`."""
    loggers = [logging.getLogger(name) for name in ("ray", "py.warnings")]
    with (
        io.TextIOWrapper(LossyFile(log_file, "a"), write_through=True) as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        handler = logging.StreamHandler(log)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        for logger in loggers:
            logger.handlers[:] = [handler]
            logger.propagate = False
        logging.captureWarnings(True)
        try:
            yield
        finally:
            logging.captureWarnings(False)
            for logger in loggers:
                logger.handlers.clear()


class LossyFile(io.FileIO):
    """A file that loses what its disk refuses: a full one must not stop what Ray prints, nor the run with it."""

    def write(self, content: Any) -> int:
        with suppress(OSError):
            super().write(content)
        return len(content)


def let_jobs_queue(resources: dict[str, float]) -> None:
    """Let Tune hold twice as many started jobs as fit, and 16 at least, instead of one.

    With one, a short job that ends while the next process is still starting takes over what waited for that
    process and stops it: the second process would never come up, and half the machine would idle. What waits
    is also what an autoscaling cluster grows for.
    """
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(max(16, 2 * job_slots(resources)))


def job_slots(resources: dict[str, float]) -> int:
    """How many workers that hold `resources` each the cluster has room for now; 1 at least."""
    cluster = ray.cluster_resources()
    return max(1, min(int(cluster.get(name, 0) // amount) for name, amount in resources.items()))


def job_resources(execution: Execution) -> dict[str, float]:
    """What one worker holds: a GPU and a CPU where the cluster has GPUs, else one CPU, unless told otherwise."""
    has_gpu = ray.cluster_resources().get("GPU", 0) > 0
    gpus = float(has_gpu) if execution.gpus_per_job is None else execution.gpus_per_job
    cpus = 1.0 if execution.cpus_per_job is None else execution.cpus_per_job
    return {"CPU": cpus, **({"GPU": gpus} if gpus else {})}
