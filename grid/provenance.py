"""Provenance of a row: the device, and the command that repeats it."""

import platform
import shlex
from functools import cache
from pathlib import Path

import torch

from salun_grid.grid.specs import Evaluate
from salun_grid.grid.study import Study


@cache
def device_name(device: str) -> str:
    """The name of the GPU, or of the processor with PyTorch's number of threads."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    threads = torch.get_num_threads()
    return f"{names[0] if names else platform.machine()} ({threads} thread{'s' * (threads != 1)})"


def repeat_command(study: Study, job: Evaluate) -> str:
    """The command that recomputes this row in a new folder."""
    narrowing = {
        "--dataset": job.data.source,
        "--forget": job.forget.rule.text,
        "--augmentation": job.augmentation,
        "--seed": str(job.seed),
        "--method": job.name,
        "--out": "runs/repeat",
    }
    words = ["salun-grid", "run", *study.words, *(word for pair in narrowing.items() for word in pair)]
    return shlex.join(words)
