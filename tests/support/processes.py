"""The processes of a run under test, so that a test can kill one, and the workers of a training under test."""

import multiprocessing
import sys
import time
from collections.abc import Callable

import psutil
import torch.multiprocessing


def grid_command(*words: object) -> list[str]:
    """`salun-grid` with these words, for a process of its own."""
    return [sys.executable, "-m", "salun_grid.grid", *map(str, words)]


def kill_one(pid: int, title: str) -> None:
    """SIGKILL the youngest process below `pid` whose command line contains `title`."""
    below = psutil.Process(pid).children(recursive=True)
    max((process for process in below if title in " ".join(process.cmdline())), key=lambda process: process.pid).kill()


def addresses_listened_at(pid: int) -> set[str]:
    """Where a process and all below it take connections of TCP."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    sockets = [socket for process in processes for socket in process.net_connections("tcp")]
    return {socket.laddr.ip for socket in sockets if socket.status == psutil.CONN_LISTEN}


def wait_until(happened: Callable[[], object], seconds: float = 120) -> None:
    """Raises TimeoutError where it does not happen."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)


def run_workers(work: Callable[[int, str], None], folder: str, count: int) -> None:
    """Call `work(rank, folder)` in `count` processes, forked from one that has imported what they need."""
    # The first optimizer of a process imports torch._dynamo, which takes a second.
    multiprocessing.set_forkserver_preload([work.__module__, "torch._dynamo"])
    torch.multiprocessing.start_processes(work, (folder,), nprocs=count, start_method="forkserver")
