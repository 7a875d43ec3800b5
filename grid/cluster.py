"""The Ray cluster: a local one started for the run, or one that is already up; and Ray's own noise, kept in a file."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Before Ray is imported: no result files of Tune's own (the Parquet is ours), no `uv run` around each worker.
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray

from trainables.errors import InputError


@contextmanager
def connected(address: str | None, log_file: Path) -> Iterator[None]:
    """Ray, local when `address` is None, with everything that Ray logs in `log_file`; left at the end.

    Raises InputError when nothing answers at `address`.
    """
    handler = logging.FileHandler(log_file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in ("ray", "py.warnings")]
    for logger in loggers:
        logger.handlers[:] = [handler]
        logger.propagate = False
    logging.captureWarnings(True)
    try:
        ray.init(
            address=address or "local",
            include_dashboard=None if address else False,
            log_to_driver=False,
            configure_logging=False,
            namespace="salun-grid",
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        if address is None:
            raise
        raise InputError(f"no Ray cluster answers at {address} ({str(error).splitlines()[0]}).") from None
    try:
        yield
    finally:
        ray.shutdown()
        logging.captureWarnings(False)
        for logger in loggers:
            logger.handlers.clear()
        handler.close()


def job_resources(cpus_per_job: float | None, gpus_per_job: float | None) -> dict[str, float]:
    """What one job holds: a GPU and a CPU where the cluster has GPUs, else one CPU, unless told otherwise."""
    has_gpu = ray.cluster_resources().get("GPU", 0) > 0
    gpus = float(has_gpu) if gpus_per_job is None else gpus_per_job
    cpus = 1.0 if cpus_per_job is None else cpus_per_job
    return {"CPU": cpus, **({"GPU": gpus} if gpus else {})}
