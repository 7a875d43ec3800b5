"""`python -m benchmarks.on_gpu`: all measurements that need a CUDA GPU, in a few minutes and without Ray.

Each part runs in its own process and writes OUT/parts/NAME.json when it is done; rerunning the same command resumes,
the study from its last state. OUT/on_gpu.json and OUT/on_gpu.md contain all parts so far. To repeat a part, delete its
file.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from benchmarks.gpu_machine import facts
from benchmarks.gpu_page import page
from benchmarks.gpu_parts import GRACE_SECONDS, PARTS, Settings, command, kept, path_of
from benchmarks.measure import DEVICE
from salun_grid.records.errors import InputError
from salun_grid.records.folder import write_whole
from salun_grid.trainables.augmentation import AUGMENTATIONS
from salun_grid.trainables.data import describe
from salun_grid.trainables.forget import check_forget_rate, forget_count
from salun_grid.trainables.protocol import PRECISIONS, to_json
from salun_grid.trainables.settings import validated

# Results that differ in one of these are not mixed in a table.
SAME_IN_A_FOLDER = ("device", "torch", "tiny", "repetitions")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, 1 if a part failed, or 2 for bad input. Running out of time is not a failure."""
    asked = parse(arguments)
    settings = Settings(**{field.name: getattr(asked, field.name) for field in fields(Settings)})
    try:
        identify(settings, asked.out)
        cell = check_study(settings, asked.out) if "study" in asked.parts and settings.images else ""
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    if cell:
        (asked.out / "study").mkdir(parents=True, exist_ok=True)
        write_whole(asked.out / "study" / "cell.json", cell.encode())
    failures = run_parts(asked.parts, settings, asked.out, time.monotonic() + 60 * asked.minutes)
    write_report(asked.out, failures)
    print(f"Wrote {asked.out / 'on_gpu.json'} and {asked.out / 'on_gpu.md'}.")
    return 1 if failures else 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.on_gpu",
        description="Run the benchmarks that need a CUDA GPU, in a few minutes and without Ray.",
    )
    names = list(PARTS)
    which = f"any of {', '.join(names)} (all)"
    parser.add_argument("--parts", nargs="+", choices=names, default=names, metavar="PART", help=which)
    parser.add_argument("--minutes", type=positive, default=8, help="stop after this long (8); rerun to resume")
    parser.add_argument("--out", type=Path, default=Path("runs/on_gpu"), help="folder of results (runs/on_gpu)")
    parser.add_argument("--tiny", action="store_true", help="rehearse at tiny size; works without a GPU")
    parser.add_argument("--repetitions", type=whole, default=3, help="timed runs of each variant (3)")
    study = parser.add_argument_group("study", "one cell of the protocol `paper`: original, SalUn, retrain")
    study.add_argument("--images", default="", metavar="FILE.npz", help="images in MedMNIST's layout (required)")
    study.add_argument("--precision", choices=PRECISIONS, default="auto", help="auto is bf16 if the device supports it")
    study.add_argument("--epochs", type=whole, default=0, help="epochs of the original and the retrain (200)")
    study.add_argument("--forget-rate", type=float, default=0.1, help="fraction of the train images (0.1)")
    study.add_argument("--augmentation", choices=list(AUGMENTATIONS), default="default")
    study.add_argument("--seed", type=int, default=0)
    study.add_argument("--compile", action="store_true", help="compile the original's and the retrain's batches")
    return parser.parse_args(arguments)


def positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return value


def whole(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


# --- before anything is written ---------------------------------------------------------------------------------


def identify(settings: Settings, out: Path) -> None:
    """Raise InputError without a GPU, or if OUT has parts that must not be mixed with this run."""
    if DEVICE.type != "cuda" and not settings.tiny:
        raise InputError("No CUDA device found; use --tiny to rehearse the same parts on this CPU.")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is not a folder; choose another with --out.")
    now = facts() | asdict(settings)
    for name in PARTS:
        if part := kept(name, out):
            then = part["facts"] | part["settings"]
            for field in SAME_IN_A_FOLDER:
                if then[field] != now[field]:
                    raise InputError(
                        f"{path_of(name, out)} was measured with {field} {then[field]}, not {now[field]}; "
                        "choose another folder with --out."
                    )


def check_study(settings: Settings, out: Path) -> str:
    """The study's cell as JSON. Raises InputError for bad images or settings, or if OUT/study is of another cell."""
    if not settings.images.endswith(".npz"):
        raise InputError(f"--images must be an .npz file in MedMNIST's layout, not {settings.images}.")
    protocol = validated(settings.protocol)
    info = describe(settings.images, protocol.image_size)
    forget_count(check_forget_rate(settings.forget_rate), info.num_images["train"])
    values = {name: getattr(settings, name) for name in ("forget_rate", "augmentation", "seed", "compile")}
    cell = {"images": info.fingerprint, "protocol": json.loads(to_json(protocol))} | values
    text = json.dumps(cell, indent=1)
    path = out / "study" / "cell.json"
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise InputError(
            f"{path.parent} contains a study of other images or settings; choose another folder with --out."
        )
    return text


# --- running ----------------------------------------------------------------------------------------------------


def run_parts(names: Sequence[str], settings: Settings, out: Path, deadline: float) -> dict[str, str]:
    """Run the parts that are not complete in OUT; returns the reasons of failures by part."""
    failures = {}
    for name in names:
        part = kept(name, out)
        left = deadline - time.monotonic()
        if part and part["complete"]:
            print(f"{name}: already there, {part['wall_seconds']} s", flush=True)
        elif name == "study" and not settings.images:
            print("study: not run, it needs --images", flush=True)
        elif left <= GRACE_SECONDS:
            print(f"{name}: not run, no time left", flush=True)
        elif reason := run_one(name, settings, out, deadline):
            failures[name] = reason
            print(f"{name}: failed: {reason}", flush=True)
        else:
            part = kept(name, out) or {}
            print(f"{name}: {'done' if part['complete'] else 'to be continued'}, {part['wall_seconds']} s", flush=True)
        write_report(out, failures)
    return failures


def run_one(name: str, settings: Settings, out: Path, deadline: float) -> str:
    """Run a part in its own process; returns "" or the reason of a failure."""
    ask = command(name, settings, out.resolve(), deadline)
    left = max(deadline - time.monotonic(), 1)
    try:
        done = subprocess.run(ask, capture_output=True, text=True, timeout=left)
    except subprocess.TimeoutExpired:
        return "stopped, no time left"
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines() or ["no message"]
    (out / "parts").mkdir(parents=True, exist_ok=True)
    (out / "parts" / f"{name}.stderr").write_text(done.stderr, encoding="utf-8")
    return f"exit status {done.returncode}: {lines[-1][:300]}"


def write_report(out: Path, failures: dict[str, str]) -> None:
    """Write all parts so far to on_gpu.json and on_gpu.md."""
    out.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {
        "parts": {name: part for name in PARTS if (part := kept(name, out))},
        "failed": failures,
    }
    write_whole(out / "on_gpu.json", (json.dumps(report, indent=1) + "\n").encode())
    write_whole(out / "on_gpu.md", page(report).encode())


if __name__ == "__main__":
    sys.exit(main())
