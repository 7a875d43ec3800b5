"""The environment of a GPU benchmark: device, driver, library versions and source files."""

import hashlib
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from benchmarks.measure import DEVICE
from salun_grid.grid.provenance import device_name

ROOT = Path(__file__).parent.parent
MEASURED_PACKAGES = ("trainables", "records", "benchmarks", "analysis")


def facts() -> dict[str, str]:
    """Device, driver, CUDA, cuDNN, versions, source and date, in the order of the page."""
    host = f"{os.cpu_count()} CPU cores of {device_name('cpu').partition(' (')[0]}"
    facts = {"device": device_name(str(DEVICE)) if DEVICE.type == "cuda" else "no GPU", "host": host}
    if DEVICE.type == "cuda":
        properties = torch.cuda.get_device_properties(DEVICE)
        facts["device memory"] = f"{properties.total_memory / 2**30:.0f} GiB"
        facts["compute capability"] = f"{properties.major}.{properties.minor}"
        facts["driver"] = driver()
        facts["CUDA"] = str(torch.version.cuda)
        facts["cuDNN"] = str(torch.backends.cudnn.version())
    facts["Python"] = platform.python_version()
    facts["torch"] = torch.__version__
    facts |= {name: installed(name) for name in ("torchvision", "triton", "numpy", "scikit-learn")}
    return facts | {"source": source(), "date": f"{datetime.now(UTC):%Y-%m-%d}"}


def driver() -> str:
    """The NVIDIA driver version printed by nvidia-smi."""
    ask = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(ask, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return answer.split("\n")[0].strip() or "unknown"


def installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def source() -> str:
    """A SHA-256 of the measured Python files, and the commit if available.

    A copy of the tree without `.git` has the same hash, so it can be matched to a commit later.
    """
    digest = hashlib.sha256()
    for package in MEASURED_PACKAGES:
        for path in sorted((ROOT / package).glob("*.py")):
            digest.update(f"{package}/{path.name}\0".encode() + path.read_bytes())
    ask = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        commit = subprocess.run(ask, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        commit = ""
    return f"sha256 {digest.hexdigest()[:12]}" + (f", commit {commit}" if commit else "")


if __name__ == "__main__":
    print("\n".join(f"{name}: {value}" for name, value in facts().items()))
