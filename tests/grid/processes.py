"""The processes of a run under test, found through /proc, so that a test can kill one."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path


def descendants(pid: int) -> dict[int, str]:
    """The title of every process that `pid` started, at any depth."""
    parents, titles = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            titles[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except OSError:
            continue  # it ended meanwhile

    def descends(child: int) -> bool:
        while child in parents and child != pid:
            child = parents[child]
        return child == pid

    return {child: title for child, title in titles.items() if child != pid and descends(child)}


def kill_one(pid: int, title: str) -> int:
    """SIGKILL the youngest process below `pid` whose title contains `title`; returns its pid."""
    victim = max(child for child, name in descendants(pid).items() if title in name)
    os.kill(victim, signal.SIGKILL)
    return victim


def wait_until(happened: Callable[[], object], seconds: float = 120) -> None:
    """Raises TimeoutError where it does not happen."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)
