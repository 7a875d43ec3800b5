"""The Ray cluster: a local one started for the run, or one that is already up; and Ray's own noise, kept in a file."""

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
MAX_CHARACTERS = 300  # of Ray's reason, which may go on for pages


# A socket's path has at most 107 bytes, and Ray's adds `/ray/session_DATE_TIME_MICROSECONDS_PID/sockets/plasma_store`.
MAX_FOLDER_BYTES = 107 - 70


@contextmanager
def connected(
    address: str | None, log_file: Path, keep_session: Callable[[], bool] = lambda: False
) -> Iterator[Path | None]:
    """Ray, started on this machine if `address` is None, left or shut down at the end. Yields its session folder.

    What Ray logs or prints goes to `log_file`; what we print meanwhile needs a stream that was taken before. The
    session folder of a Ray on this machine is private, and deleted at the end unless `keep_session()`; that of a
    running cluster is not ours: None. Raises InputError, with the paths of both, if Ray does not start or cannot join.
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

    Whoever reaches a port of Ray can run code as this user, so it listens on loopback only, and for other users of this
    machine there is a token that is never written to a file.
    """
    allow_cluster(False)
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    ray.init(
        address="local",
        num_cpus=num_cpus(),
        include_dashboard=False,
        log_to_driver=False,
        namespace=NAMESPACE,
        _temp_dir=str(folder / "ray"),  # a folder inside: Ray makes its own readable to everyone
    )
    if ports := open_ports():
        where = ", ".join(f"{address}:{port}" for address, port in ports)
        raise RuntimeError(f"it listens beyond loopback, on {where}, where others could run code as this user")


def private_folder() -> Path:
    """A new folder that only this user can enter, with a path short enough for Ray's sockets.

    It is in TMPDIR, or in /tmp where the path would be too long. Raises InputError where none can be made.
    """
    for parent in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        with suppress(OSError):
            if len(os.fsencode(parent)) + len("/ray-12345678") <= MAX_FOLDER_BYTES:
                return Path(tempfile.mkdtemp(prefix="ray-", dir=parent))
    raise InputError("Ray needs a folder with a short path for its sockets; set TMPDIR to one that can be written.")


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


def let_jobs_queue(slots: int) -> None:
    """Let Tune hold twice as many started jobs as fit, and 16 at least, instead of one.

    With one, a short job that ends while the next process is still starting takes over what waited for that
    process and stops it: the second process would never come up, and half the machine would idle. What waits
    is also what an autoscaling cluster grows for.
    """
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(max(16, 2 * slots))


def this_machine() -> Capacity:
    """What a Ray started on this machine will have."""
    return Capacity((resources_of_this_machine(),))


def connected_cluster() -> Capacity:
    """What the live nodes of the connected cluster have."""
    return Capacity(tuple(node["Resources"] for node in ray.nodes() if node["Alive"]))
