"""Connection to Ray: a local instance started for the run, or a running cluster. Ray's output goes to a file."""

import io
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import ray

from salun_grid.grid.capacity import Capacity
from salun_grid.grid.on_ray.environment import configure
from salun_grid.grid.on_ray.private import allow_cluster, num_cpus, own_signal_handlers, resources_of_this_machine
from salun_grid.grid.on_ray.sockets import open_ports
from salun_grid.records.errors import InputError

NAMESPACE = "salun-grid"
MAX_CHARACTERS = 300  # of Ray's error message, which may be pages long


# A socket path has at most 107 bytes; Ray appends `/ray/session_DATE_TIME_MICROSECONDS_PID/sockets/plasma_store`.
MAX_FOLDER_BYTES = 107 - 70


@contextmanager
def connected(
    address: str | None, log_file: Path, keep_session: Callable[[], bool] = lambda: False
) -> Iterator[Path | None]:
    """Start Ray on this machine if `address` is None, else join the cluster; yields the session folder.

    Ray's logs and prints go to `log_file`; output of this program needs a stream that was opened before. The session
    folder of a local Ray is private, and deleted at the end unless `keep_session()`; for a running cluster it is None.
    Raises InputError, with the path of the log, if Ray does not start or cannot join.
    """
    configure()
    with noise_in(log_file):
        folder = private_folder() if address is None else None
        try:
            with own_signal_handlers():
                if folder:
                    start(folder)
                else:
                    allow_cluster(True)
                    ray.init(address=address, log_to_driver=False, namespace=NAMESPACE)
        except Exception as error:
            ray.shutdown()
            what = f"Ray did not start in {folder}" if folder else f"cannot join the Ray cluster at {address}"
            reason = " ".join(str(error).split())[:MAX_CHARACTERS] or type(error).__name__
            raise InputError(f"{what} ({reason}); the log is {log_file}.") from None
        except BaseException:  # Ctrl-C or SIGTERM
            ray.shutdown()
            if folder:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        try:
            yield folder
        finally:
            keep = keep_session()
            ray.shutdown()
            if folder and not keep:
                shutil.rmtree(folder, ignore_errors=True)


def start(folder: Path) -> None:
    """Start Ray on this machine for this process, with its session in `folder`.

    Anyone who reaches a port of Ray can run code as this user. So Ray listens only on loopback, and a token that is
    never written to a file keeps out other users of this machine.
    """
    allow_cluster(False)
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    ray.init(
        address="local",
        num_cpus=num_cpus(),
        include_dashboard=False,
        log_to_driver=False,
        namespace=NAMESPACE,
        _temp_dir=str(folder / "ray"),  # a subfolder, since Ray makes its folder readable to everyone
    )
    if ports := open_ports():
        where = ", ".join(f"{address}:{port}" for address, port in ports)
        raise RuntimeError(f"Ray listens beyond loopback, on {where}, where others could run code as this user")


def private_folder() -> Path:
    """A new folder that only this user can enter, with a path short enough for Ray's sockets.

    It is in TMPDIR, or in /tmp if the path would be too long. Raises InputError if none can be created.
    """
    for parent in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        with suppress(OSError):
            if len(os.fsencode(parent)) + len("/ray-12345678") <= MAX_FOLDER_BYTES:
                return Path(tempfile.mkdtemp(prefix="ray-", dir=parent))
    raise InputError("Ray needs a folder with a short path for its sockets; set TMPDIR to a writable one.")


@contextmanager
def noise_in(log_file: Path) -> Iterator[None]:
    """Redirect log records, warnings and prints into `log_file`; Ray prints when a process dies."""
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
    """A file that ignores failed writes, so that a full disk does not stop the run."""

    def write(self, content: Any) -> int:
        with suppress(OSError):
            super().write(content)
        return len(content)


def let_jobs_queue(slots: int) -> None:
    """Let Tune queue twice as many started jobs as fit, at least 16, instead of one.

    With one, a short job that ends while the next process is starting takes over the queued job and stops that
    process: the second process would never start, and half the machine would idle. An autoscaling cluster also needs
    queued jobs in order to grow.
    """
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(max(16, 2 * slots))


def this_machine() -> Capacity:
    """The capacity of a Ray instance started on this machine."""
    return Capacity((resources_of_this_machine(),))


def connected_cluster() -> Capacity:
    """The capacity of the live nodes of the connected cluster."""
    return Capacity(tuple(node["Resources"] for node in ray.nodes() if node["Alive"]))
