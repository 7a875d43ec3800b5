"""Benchmark of the engine's memory layout against both fixed layouts, for fp32 training steps.

`python -m benchmarks.layouts` prints a Markdown table. The step is forward, loss, backward and optimizer.
"""

import statistics
from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.nn import functional

from benchmarks.measure import DEVICE, hardware, interleaved, table
from salun_grid.trainables.architectures import build_model
from salun_grid.trainables.layout import memory_layout
from salun_grid.trainables.protocol import ModelConfig

CASES = {("3x3", 28): 32, ("imagenet", 64): 64}  # (stem, side in pixels): batch size
NUM_CLASSES = 8
REPETITIONS = 9
STEPS = 4


def steps(model: nn.Module, layout: torch.memory_format, images: torch.Tensor, labels: torch.Tensor) -> None:
    """STEPS training steps of `model` on one batch, with the images in the same layout."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    images = images.contiguous(memory_format=layout)
    for _ in range(STEPS):
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(model(images), labels).backward()
        optimizer.step()


def variants(stem: str, side: int, batch: int) -> dict[str, Callable[[], None]]:
    """The same steps in channels_last, contiguous, and in the layout that the engine chooses."""
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8, generator=random).to(DEVICE)
    labels = torch.randint(0, NUM_CLASSES, (batch,), generator=random).to(DEVICE)

    def variant(layout: torch.memory_format | None) -> Callable[[], None]:
        model = build_model(ModelConfig(stem=stem), NUM_CLASSES, seed=0).to(DEVICE)
        chosen = memory_layout(model).format if layout is None else layout
        model.memory_format = chosen
        return partial(steps, model.to(memory_format=chosen).train(), chosen, images, labels)

    return {
        "channels_last": variant(torch.channels_last),
        "contiguous": variant(torch.contiguous_format),
        "chosen": variant(None),
    }


def main() -> None:
    """Measure every case and print the table."""
    rows = []
    for (stem, side), batch in CASES.items():
        seconds = interleaved(variants(stem, side, batch), REPETITIONS)
        for name, of_each in seconds.items():
            ratios = [reference / own for reference, own in zip(seconds["channels_last"], of_each, strict=True)]
            spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
            rows.append([f"{stem} stem, {side} px, batch {batch}", name, spread])
    print(table(["case", "layout", "speed-up (min–max)"], rows))
    print(f"\nWidth 64, fp32, n = {REPETITIONS} interleaved repetitions of {STEPS} steps, ", end="")
    print(f"{torch.get_num_threads()} threads. {hardware()}")


if __name__ == "__main__":
    main()
