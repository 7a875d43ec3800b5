"""`salun-grid doctor`: checks of this machine, and details for a bug report."""

import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("torch", "torchvision", "ray", "numpy", "pyarrow", "medmnist", "safetensors")
# Installed by the extra `grid`; the analysis works without them.
NEEDED = ("torch", "torchvision", "ray", "medmnist", "safetensors", "psutil")
GIB = 2**30
SMALL_GIB = 2.0  # of free memory: a job of the demo needs 0.7


@dataclass(frozen=True)
class Finding:
    """One line of the report; `problem` is a sentence on what will not work, or ""."""

    name: str
    text: str
    problem: str = ""


def findings() -> Iterator[Finding]:
    """The lines of the report, in order. A check that raises becomes a problem."""
    for name, check in CHECKS.items():
        try:
            text, problem = check()
        except ModuleNotFoundError as error:
            text, problem = "unknown", f"{error.name} is missing; pip install '.[grid]' in a checkout of salun-grid."
        except Exception as error:  # the report must list any error, and go on
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            text, problem = "unknown", f"the check {name} failed ({reason})."
        yield Finding(name, text, problem)


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def versions() -> tuple[str, str]:
    from salun_grid.grid.release import code_version

    found = {name: installed(name) for name in PACKAGES}
    missing = [name for name in NEEDED if installed(name) is None]
    text = ", ".join(f"{name} {number or 'missing'}" for name, number in found.items())
    problem = f"{', '.join(missing)} missing; pip install '.[grid]' in a checkout of salun-grid." if missing else ""
    return f"salun-grid {code_version()}, Python {platform.python_version()}, {text}", problem


def system() -> tuple[str, str]:
    return f"{platform.platform()}, {sys.executable}", ""


def processor() -> tuple[str, str]:
    import torch

    from salun_grid.grid.provenance import device_name

    has = torch.cpu.get_capabilities()
    units = [name for name in ("avx2", "avx512_f", "avx512_bf16", "amx_bf16") if has.get(name)]
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA")
    limited = f", oneDNN limited to {limit}" if limit else ""
    kernels = torch.backends.cpu.get_cpu_capability()
    return (
        f"{device_name('cpu')}, {os.cpu_count()} cores, {', '.join(units) or 'no AVX2'}; kernels {kernels}{limited}",
        "",
    )


def layout() -> tuple[str, str]:
    """The memory layout of the default model, the same on every processor."""
    from salun_grid.trainables.architectures import build_model
    from salun_grid.trainables.layout import memory_layout
    from salun_grid.trainables.protocol import ModelConfig

    chosen = memory_layout(build_model(ModelConfig(), 2, 0))
    return f"{chosen.name} for ResNet-18 of width {ModelConfig().width}: {chosen.reason}", ""


def gpus() -> tuple[str, str]:
    import torch

    if not torch.cuda.is_available():
        built = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is built without CUDA"
        driver = Path("/proc/driver/nvidia/version").exists()
        return f"none ({built})", "an NVIDIA driver is installed, but torch sees no GPU." if driver else ""
    names = []
    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        names.append(f"{about.name}, {about.total_memory / GIB:.0f} GiB, capability {about.major}.{about.minor}")
    torch.ones(1, device="cuda").sum().item()
    return f"{'; '.join(names)}; CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}", ""


def precision() -> tuple[str, str]:
    from salun_grid.trainables.precision import here
    from salun_grid.trainables.protocol import ModelConfig

    found = here(ModelConfig(precision="auto"), 9, 64)
    return f"{found.name} for model.precision=auto at the paper's sizes ({found.reason}); the default is fp32", ""


def memory() -> tuple[str, str]:
    import psutil

    about, limit = psutil.virtual_memory(), Path("/sys/fs/cgroup/memory.max")
    own = limit.read_text().strip() if limit.exists() else "max"
    container = "" if own == "max" else f", container limit {int(own) / GIB:.1f} GiB"
    free = about.available / GIB
    problem = f"only {free:.1f} GiB of memory is free; close other programs." if free < SMALL_GIB else ""
    return f"{about.total / GIB:.1f} GiB, {free:.1f} GiB free{container}", problem


def temporary_folder() -> tuple[str, str]:
    """Whether TMPDIR is writable, and short enough for the paths of Ray's sockets."""
    from salun_grid.grid.on_ray.cluster import private_folder

    asked, chosen = os.environ.get("TMPDIR", ""), tempfile.gettempdir()
    folder = private_folder()
    folder.rmdir()
    problem = f"TMPDIR is {asked}, which is not writable; set it to a writable folder." if is_unusable(asked) else ""
    free = os.statvfs(folder.parent).f_bavail * os.statvfs(folder.parent).f_frsize / GIB
    return f"{chosen}; Ray's session in {folder.parent}, {free:.1f} GiB free", problem


def is_unusable(folder: str) -> bool:
    return bool(folder) and not os.access(folder, os.W_OK | os.X_OK)


def local_ray() -> tuple[str, str]:
    """Start Ray as a run does, run one task, and stop it."""
    from salun_grid.grid.on_ray.cluster import connected

    log_file = Path(tempfile.mkdtemp(prefix="salun-grid-doctor-")) / "ray.log"
    started = time.monotonic()
    with connected(None, log_file):
        import ray

        assert ray.get(ray.remote(lambda: 1 + 1).remote(), timeout=60) == 2
        text = f"started and ran a task in {time.monotonic() - started:.0f} s"
    log_file.unlink(missing_ok=True)
    log_file.parent.rmdir()
    return text, ""


def cluster() -> tuple[str, str]:
    from salun_grid.grid.on_ray.access import token_source

    address = os.environ.get("RAY_ADDRESS")
    token = token_source() or "none"
    return f"RAY_ADDRESS {address or 'unset'}, token {token}", ""


def medmnist_files() -> tuple[str, str]:
    from salun_grid.trainables.data import medmnist_root

    root = medmnist_root()
    if root.exists() and not root.is_dir():
        return f"{root} is a file", "MEDMNIST_ROOT must be a folder; set it to one."
    if root.exists() and not os.access(root, os.R_OK | os.X_OK):
        return f"{root} is not readable", f"this user may not read {root}; set MEDMNIST_ROOT to another folder."
    found = sorted(path.name for path in root.glob("*.npz")) if root.exists() else []
    return f"{', '.join(found) or 'none'} in {root}; others are downloaded on first use", ""


CHECKS: dict[str, Callable[[], tuple[str, str]]] = {
    "versions": versions,
    "system": system,
    "processor": processor,
    "layout": layout,
    "GPUs": gpus,
    "precision": precision,
    "memory": memory,
    "temporary": temporary_folder,
    "cluster": cluster,
    "local Ray": local_ray,
    "MedMNIST": medmnist_files,
}
