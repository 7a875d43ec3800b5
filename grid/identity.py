"""Process identity that is independent of the wall clock."""

import os
from functools import cache
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
START_TICKS = 19  # index of the start time, in ticks since boot, after the process name in /proc/PID/stat


def process_identity(pid: int) -> str | None:
    """The boot id and the start tick of a process of this machine; None if there is no such process.

    A process id may be reused, and NTP may move the wall clock; boot id and tick stay unique. Without /proc, the start
    time from psutil.
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
    """The boot id, which changes at every restart, or ""."""
    return BOOT_ID.read_text().strip() if BOOT_ID.exists() else ""


def psutil_identity(pid: int) -> str | None:
    try:
        import psutil  # from the extra `grid`, which `status` does not need
    except ModuleNotFoundError:
        return None if pid != os.getpid() else f"pid {pid}"
    try:
        return f"{psutil.Process(pid).create_time()}"
    except (psutil.Error, ValueError, OverflowError):
        return None
