"""Benchmark of bf16 against fp32 by network size, the basis of `model.precision=auto` on a CPU."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from benchmarks.measure import DEVICE, Result, interleaved
from salun_grid.trainables.architectures import build_model, count_macs, count_weights
from salun_grid.trainables.optimizers import sgd
from salun_grid.trainables.protocol import PRECISIONS, ModelConfig

NUM_CLASSES = 8
STEPS = 3
# Network, image side in pixels, batch size.
CASES = [
    (ModelConfig(), 64, 16),
    (ModelConfig(), 28, 32),
    (ModelConfig(width=16), 28, 64),
    (ModelConfig(width=8), 28, 64),
    (ModelConfig(stem="imagenet"), 28, 32),
    (ModelConfig(stem="imagenet"), 28, 256),
    (ModelConfig(stem="imagenet"), 64, 32),
    (ModelConfig(stem="imagenet", width=32), 64, 64),
    (ModelConfig(architecture="vit_small"), 28, 32),
    (ModelConfig(architecture="resnet50"), 64, 32),
    (ModelConfig(architecture="densenet121"), 64, 32),
]


def precision(repetitions: int) -> list[Result]:
    """Time training steps of each case in fp32 and bf16."""
    results = []
    for config, size, batch in CASES:
        macs = count_macs(config, NUM_CLASSES, size)
        variants: dict[str, Callable[[], object]] = {
            name: partial(steps, *prepared(replace(config, precision=name), size, batch))
            for name in PRECISIONS
            if name != "auto"
        }
        shape = f"{config.architecture}, {config.stem} stem, width {config.width}"
        network = shape if config.architecture == "resnet18" else config.architecture
        each = f"{macs / 1e6:,.0f} million MACs, {macs / count_weights(config, NUM_CLASSES):.0f} per weight"
        case = f"{network}, {size} px, batch {batch}: {each}"
        results.append(Result(case, "images", STEPS * batch, interleaved(variants, repetitions)))
    return results


def prepared(
    config: ModelConfig, size: int, batch: int
) -> tuple[nn.Module, torch.optim.Optimizer, torch.Tensor, torch.Tensor]:
    """A model, its optimizer, and random images and labels."""
    model = build_model(config, NUM_CLASSES, 0).to(DEVICE).train()
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (batch, 3, size, size), generator=random, dtype=torch.uint8).to(DEVICE)
    labels = torch.randint(0, NUM_CLASSES, (batch,), generator=random).to(DEVICE)
    return model, sgd(model, 0.01, 0.9, 5e-4), images, labels


def steps(model: nn.Module, optimizer: torch.optim.Optimizer, images: torch.Tensor, labels: torch.Tensor) -> None:
    for _ in range(STEPS):
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
