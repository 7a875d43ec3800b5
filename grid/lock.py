"""One driver at a time in an out folder. Two would corrupt nothing, since a key names one content, but work double."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from grid.store import Store
from trainables.errors import InputError

LOCK_FILE = "driver.json"
RENEW_SECONDS, STALE_SECONDS = 10.0, 120.0


class DriverLock:
    """The driver's sign of life in its out folder. `renew` it often; it writes every RENEW_SECONDS at most."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.me = {"host": socket.gethostname(), "pid": os.getpid(), "process_started": process_started(os.getpid())}
        self.renewed_at = 0.0

    def check(self) -> None:
        """Raise InputError while another driver is at work here. Writes nothing."""
        other = self.store.read_json(LOCK_FILE)
        if other is None or _identity(other) == self.me or not self._alive(other):
            return
        seconds = time.time() - other["alive_at"]
        raise InputError(
            f"another run works in {self.store.out} (process {other['pid']} on {other['host']}, seen {seconds:.0f} s "
            f"ago); let it end or stop it. One that died there is forgotten after {STALE_SECONDS:.0f} s."
        )

    def describe(self) -> str:
        """Whether a driver works here, in a line; from its own machine or from any other. Writes nothing."""
        other = self.store.read_json(LOCK_FILE)
        if other is None:
            return "no run works here now"
        seconds = max(0, round(time.time() - other["alive_at"]))
        who = f"process {other['pid']} on {other['host']}"
        if self._alive(other):
            return f"a run works here: {who}; its last sign of life came {seconds:,} s ago"
        return f"no run works here now; the last one ({who}) gave its last sign of life {seconds:,} s ago and died"

    def renew(self) -> None:
        """Say that this driver lives. Raises InputError where another one has taken the folder over."""
        if time.monotonic() - self.renewed_at < RENEW_SECONDS:
            return
        # A sign that cannot be given, on a full disk perhaps, must not stop what still goes well.
        with suppress(OSError):
            self.check()
            self.store.publish(json.dumps({**self.me, "alive_at": time.time()}).encode(), LOCK_FILE)
        self.renewed_at = time.monotonic()

    def release(self) -> None:
        """Make way for the next driver, which need not wait for that: a store may refuse it, as it did the results."""
        with suppress(OSError):
            if _identity(self.store.read_json(LOCK_FILE) or {}) == self.me:
                self.store.drop(LOCK_FILE)

    def _alive(self, other: dict[str, Any]) -> bool:
        """By its process on this machine; by its last heartbeat elsewhere, and where psutil is not installed."""
        if other["host"] == self.me["host"] and self.me["process_started"] is not None:
            return process_started(other["pid"]) == other["process_started"]
        return time.time() - other["alive_at"] < STALE_SECONDS


@contextmanager
def held(lock: DriverLock) -> Iterator[DriverLock]:
    """`lock`, taken for a block and released after it."""
    lock.renew()
    try:
        yield lock
    finally:
        lock.release()


def process_started(pid: int) -> float | None:
    """Start of a process of this machine, in seconds since 1970; None if there is none, or psutil is not installed."""
    try:
        import psutil  # of the extra `grid`; `status` does without
    except ModuleNotFoundError:
        return None
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return None


def _identity(driver: dict[str, Any]) -> dict[str, Any]:
    return {name: driver.get(name) for name in ("host", "pid", "process_started")}
