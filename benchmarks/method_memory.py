"""`python -m benchmarks.method_memory [METHOD …]`: the peak memory that each method adds, for ResNet-18.

Each method runs once in its own process, at width 64 and 64 px, on a few and on twice as many images: a method that
streams has the same peak for both. The table is copied to docs/performance.md by hand.
"""

import argparse
import subprocess
import sys
from dataclasses import replace
from typing import Any

import torch

from benchmarks.engine import on_the_device, pixels
from benchmarks.measure import hardware, table
from salun_grid.grid.memory import reset_peak, resident
from salun_grid.trainables.architectures import build_model
from salun_grid.trainables.methods import METHODS, Unlearning, unlearn
from salun_grid.trainables.methods.variants import Variant
from salun_grid.trainables.protocol import STEMS, AugmentationConfig, ModelConfig, Protocol, UnlearningConfig
from salun_grid.trainables.resident import Augmenter
from salun_grid.trainables.seeds import Seeds

SIZE, BATCH = 64, 32
NUM_IMAGES = (64, 128)
# The reference, then the methods with per-image gradients or copies of the weights.
CHOSEN = ("finetune", "fisher", "influence", "ssd", "lfssd", "sfron", "munba", "amun", "neg_merge")
MIB = 2**20


def peak_of(method: str, stem: str, num_images: int) -> int:
    """Peak growth of this process's resident memory, in bytes, while `method` runs for one epoch."""
    data = on_the_device(dict.fromkeys(("train", "val", "test"), pixels(num_images, SIZE)))
    model = build_model(ModelConfig(stem=stem), data.num_classes, 0)
    settings: Any
    settings, mask = Variant(method).resolved(Protocol(unlearning=UnlearningConfig(epochs=1, batch_size=BATCH)))
    if hasattr(settings, "epochs"):
        settings = replace(settings, epochs=1)
    indices = torch.arange(num_images)
    subsets = data.forget_and_retain(indices[: num_images // 4], indices[num_images // 4 :])
    augmenter = Augmenter("none", AugmentationConfig(), 0)
    job = Unlearning(model, model, data, *subsets, settings, augmenter, Seeds.all(0))
    if not reset_peak():
        sys.exit("the peak of resident memory cannot be reset here; run on Linux with a writable /proc/self.")
    before = resident()["VmRSS"]
    unlearn(METHODS[method], job, mask)
    return resident()["VmHWM"] - before


def in_a_process(method: str, stem: str, num_images: int) -> int:
    code = f"from benchmarks.method_memory import peak_of; print(peak_of({method!r}, {stem!r}, {num_images}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description="Peak memory of each method.")
    parser.add_argument("methods", nargs="*", default=CHOSEN, metavar="METHOD", help=f"any of {', '.join(METHODS)}")
    head = ["method", *(f"{stem} stem, {count} images (MiB)" for stem in STEMS for count in NUM_IMAGES)]
    rows = []
    for method in parser.parse_args().methods:
        peaks = [in_a_process(method, stem, count) for stem in STEMS for count in NUM_IMAGES]
        rows.append([method, *(f"{peak / MIB:,.0f}" for peak in peaks)])
        print(*rows[-1], flush=True)
    print(f"\n{table(head, rows)}\n\nBatches of {BATCH} images of {SIZE} px, n = 1. {hardware()}")


if __name__ == "__main__":
    main()
