"""The peak memory of one job, in a process that does many of them one after the other."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # to clear_refs: the peak starts again from what is resident now (proc(5))
# The kernel counts pages for each thread and adds them up now and then, so that a fresh peak may be this much off.
COUNTING_ERROR = 8 * 2**20


@dataclass(frozen=True)
class Peak:
    """Bytes; None where they are not known."""

    host: int | None = None
    device: int | None = None


class PeakMemory:
    """Starts with a job; `read` says the peak since then, of this process and of its GPU."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.known = reset_peak()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def read(self) -> Peak:
        """The host's part is the resident memory of the whole process, the device's what PyTorch allocated there."""
        host = resident()["VmHWM"] if self.known else None
        device = torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else None
        return Peak(host, device)


def reset_peak() -> bool:
    """Start this process's peak anew; False where the system does not, and would tell that of earlier jobs."""
    with suppress(OSError, ValueError, KeyError):
        CLEAR_REFS.write_text(RESET_PEAK)
        found = resident()
        return found["VmHWM"] - found["VmRSS"] <= COUNTING_ERROR
    return False


def resident() -> dict[str, int]:
    """VmRSS and VmHWM, its peak, in bytes."""
    lines = (line.partition(":") for line in STATUS.read_text().splitlines())
    return {name: int(value.split()[0]) * 1024 for name, _, value in lines if name in ("VmRSS", "VmHWM")}
