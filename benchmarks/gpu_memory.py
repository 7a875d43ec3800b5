"""`python -m benchmarks.gpu_memory VARIANT SIZE_JSON`: peak memory and host syncs of one kind of epoch, as JSON.

Each variant runs in its own process, because peaks cover the lifetime of a process.
"""

import json
import resource
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks import gpu_salun
from benchmarks.engine import pixels
from benchmarks.gpu_training import RESEARCH, epoch_of_ours, research_epoch
from benchmarks.gpu_variants import NO_TIME, Size, TimeLeft
from benchmarks.measure import DEVICE, settle

Make = Callable[[Size, Path], Callable[[], object]]
SYNC = "called a synchronizing CUDA operation"

EPOCHS: dict[str, Make] = {
    RESEARCH: lambda size, folder: research_epoch(size, pixels(size.num_train, size.image_size), folder),
    "ours, fp32": lambda size, folder: epoch_of_ours(size, "fp32", pixels(size.num_train, size.image_size), folder),
    "ours, bf16": lambda size, folder: epoch_of_ours(size, "bf16", pixels(size.num_train, size.image_size), folder),
    "SalUn, research style, fp32": lambda size, folder: gpu_salun.research_epoch(gpu_salun.Work(size)),
    "SalUn, ours, bf16": lambda size, folder: gpu_salun.our_epoch(gpu_salun.Work(size), "bf16"),
}


def memory(size: Size, time_left: TimeLeft) -> dict[str, dict[str, Any]]:
    """The result of `measure` per variant, or {"failed": reason}."""
    return {variant: in_its_own_process(variant, size, time_left()) for variant in EPOCHS}


def in_its_own_process(variant: str, size: Size, seconds_left: float) -> dict[str, Any]:
    if seconds_left <= 0:
        return {"failed": NO_TIME}
    command = [sys.executable, "-m", "benchmarks.gpu_memory", variant, json.dumps(asdict(size))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds_left)
    except subprocess.TimeoutExpired:
        return {"failed": NO_TIME}
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["no output"])[-1][:200]}
    return json.loads(done.stdout.splitlines()[-1])


def measure(variant: str, size: Size) -> dict[str, Any]:
    """Peak memory in MiB, and the host syncs of the second epoch with their lines; None without CUDA.

    PyTorch counts the synchronizing operations that it calls itself. The explicit `torch.cuda.synchronize` at the
    start and end of our passes, for timing, is not included.
    """
    syncs: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        epoch = EPOCHS[variant](size, Path(folder))
        epoch()
        settle()
        with counted_syncs(syncs):
            epoch()
            settle()
    on_cuda = DEVICE.type == "cuda"
    return {
        "device_allocated_mib": torch.cuda.max_memory_allocated() / 2**20 if on_cuda else None,
        "device_reserved_mib": torch.cuda.max_memory_reserved() / 2**20 if on_cuda else None,
        "host_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
        "syncs_per_epoch": len(syncs) if on_cuda else None,
        "syncs_at": dict(Counter(syncs).most_common(8)),
    }


@contextmanager
def counted_syncs(syncs: list[str]) -> Iterator[None]:
    """Append the calling line of each synchronizing operation to `syncs`."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if DEVICE.type == "cuda":
            torch.cuda.set_sync_debug_mode("warn")
        try:
            yield
        finally:
            if DEVICE.type == "cuda":
                torch.cuda.set_sync_debug_mode("default")
            syncs += [f"{Path(w.filename).name}:{w.lineno}" for w in caught if SYNC in str(w.message)]


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], Size(**json.loads(sys.argv[2])))))
