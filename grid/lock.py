"""One driver at a time per output folder. Two would corrupt nothing, but would run every job twice."""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from math import isfinite

from salun_grid.grid.identity import process_identity
from salun_grid.grid.store import Store
from salun_grid.records.errors import InputError

LOCK_FILE = "driver.json"
RENEW_SECONDS, STALE_SECONDS = 10.0, 120.0
# Clocks of two machines may differ: a heartbeat that looks stale, or lies in the future, is watched for this long.
WATCH_SECONDS = 3 * RENEW_SECONDS
MAX_BYTES = 10_000


@dataclass(frozen=True)
class Heartbeat:
    """The identity of a driver, and the time of its last heartbeat on its machine's clock, in seconds since 1970."""

    host: str
    pid: int
    process: str
    alive_at: float

    @classmethod
    def parse(cls, content: bytes) -> "Heartbeat | None":
        """The heartbeat in a file, or None if the file is damaged, which counts as no driver."""
        try:
            found = json.loads(content[:MAX_BYTES])
            beat = cls(found["host"], found["pid"], found["process"], float(found["alive_at"]))
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
            return None
        typed = isinstance(beat.host, str) and isinstance(beat.process, str) and type(beat.pid) is int
        return beat if typed and beat.pid > 0 and isfinite(beat.alive_at) else None

    def same_driver(self, other: "Heartbeat") -> bool:
        return (self.host, self.pid, self.process) == (other.host, other.pid, other.process)

    @property
    def who(self) -> str:
        return f"process {self.pid} on {self.host}"


class DriverLock:
    """The driver's heartbeat file in its output folder. Call `renew` often; it writes at most every RENEW_SECONDS.

    `sleep` is called while another heartbeat is watched.
    """

    def __init__(self, store: Store, sleep: Callable[[float], None] = time.sleep) -> None:
        self.store, self.sleep = store, sleep
        pid = os.getpid()
        self.me = Heartbeat(socket.gethostname(), pid, process_identity(pid) or "", time.time())
        self.renewed_at = float("-inf")

    def read(self) -> Heartbeat | None:
        """The last driver's heartbeat, or None if there is none or it is damaged."""
        try:
            return Heartbeat.parse(self.store.read(LOCK_FILE))
        except FileNotFoundError:
            return None

    def check(self) -> None:
        """Raise InputError if another driver is active here. Writes nothing."""
        other = self.read()
        if other is None or other.same_driver(self.me) or not self._alive(other):
            return
        raise InputError(
            f"another run is active in {self.store.out} ({other.who}, last heartbeat {ago(other)}); let it finish or "
            f"stop it. The lock of a dead run expires after {STALE_SECONDS:.0f} s."
        )

    def describe(self) -> str:
        """One line on whether a driver is active here, from any machine. Writes nothing."""
        other = self.read()
        if other is None:
            return "no active run"
        alive = self._process_alive(other)
        if alive is None and not self._fresh(other):
            return f"probably no active run; last heartbeat of {other.who}: {ago(other)}"
        if alive is False:
            return f"no active run; the last run ({other.who}) died, last heartbeat {ago(other)}"
        return f"active run: {other.who}, last heartbeat {ago(other)}"

    def renew(self) -> None:
        """Write a heartbeat if the last one is old. Raises InputError if another driver has taken the folder over."""
        if time.monotonic() - self.renewed_at < RENEW_SECONDS:
            return
        # A failed write, for example on a full disk, must not stop the jobs.
        with suppress(OSError):
            self.check()
            beat = asdict(self.me) | {"alive_at": time.time()}
            self.store.publish(json.dumps(beat).encode(), LOCK_FILE)
        self.renewed_at = time.monotonic()

    def release(self) -> None:
        """Delete the heartbeat. Errors are ignored, since the lock expires anyway."""
        with suppress(OSError):
            other = self.read()
            if other is not None and other.same_driver(self.me):
                self.store.drop(LOCK_FILE)

    def _alive(self, other: Heartbeat) -> bool:
        """Whether a driver is alive: by its process on this machine, by its heartbeat on another."""
        alive = self._process_alive(other)
        return (self._fresh(other) or self._beats(other)) if alive is None else alive

    def _process_alive(self, other: Heartbeat) -> bool | None:
        """Whether the driver's process runs on this machine; None if it is on another machine."""
        return process_identity(other.pid) == other.process if other.host == self.me.host else None

    def _fresh(self, other: Heartbeat) -> bool:
        return 0 <= time.time() - other.alive_at < STALE_SECONDS

    def _beats(self, other: Heartbeat) -> bool:
        """Whether the heartbeat changes while it is watched, independent of both clocks."""
        for _ in range(round(WATCH_SECONDS / RENEW_SECONDS)):
            self.sleep(RENEW_SECONDS)
            now = self.read()
            if now is None or not now.same_driver(other):
                return now is not None and self._fresh(now)
            if now.alive_at != other.alive_at:
                return True
        return False


def ago(beat: Heartbeat) -> str:
    """The age of a heartbeat: `12 s ago`, or how far its clock is ahead."""
    seconds = round(time.time() - beat.alive_at)
    return f"{seconds:,} s ago" if seconds >= 0 else f"{-seconds:,} s ahead of this machine's clock"


@contextmanager
def held(lock: DriverLock) -> Iterator[DriverLock]:
    """Hold `lock` for the block."""
    lock.renew()
    try:
        yield lock
    finally:
        lock.release()
