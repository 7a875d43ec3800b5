"""Which process this is, in a form that no change of the clock touches."""

import os
from functools import cache
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
START_TICKS = 19  # place of a process's start, in ticks since boot, after its name in /proc/PID/stat


def process_identity(pid: int) -> str | None:
    """The boot and the tick in which a process of this machine started; None where there is no such process.

    Process numbers are given again, and the wall clock moves, as under NTP; these two never do. Where the system has no
    /proc, the start as psutil gives it.
    """
    if not BOOT_ID.exists():
        return psutil_identity(pid)
    try:
        fields = Path(f"/proc/{pid:d}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError, OverflowError):
        return None
    return None if fields[0] in "ZX" else f"{boot()}/{fields[START_TICKS]}"


@cache
def boot() -> str:
    """The running system, which a restart ends."""
    return BOOT_ID.read_text().strip() if BOOT_ID.exists() else ""


def psutil_identity(pid: int) -> str | None:
    try:
        import psutil  # of the extra `grid`; `status` does without
    except ModuleNotFoundError:
        return None if pid != os.getpid() else f"pid {pid}"
    try:
        return f"{psutil.Process(pid).create_time()}"
    except (psutil.Error, ValueError, OverflowError):
        return None
