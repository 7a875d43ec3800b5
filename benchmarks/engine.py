"""Benchmarks of the training engine and its input pipeline against research-style code, on one device."""

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from benchmarks import peer
from benchmarks.measure import DEVICE, Result, interleaved
from salun_grid.grid.jobs import CHECKPOINT_SECONDS
from salun_grid.records.folder import write_whole
from salun_grid.trainables import augmentation
from salun_grid.trainables.architectures import build_model
from salun_grid.trainables.augmentation import AUGMENTATIONS
from salun_grid.trainables.checkpoint import Checkpoints
from salun_grid.trainables.compiled import compiled
from salun_grid.trainables.protocol import STEMS, ModelConfig, Protocol, TrainingConfig
from salun_grid.trainables.resident import Augmenter, ResidentData
from salun_grid.trainables.seeds import Seeds
from salun_grid.trainables.training import train

GPU = DEVICE.type == "cuda"
NUM_CLASSES = 8
BATCH = 256 if GPU else 32
# Images per epoch, chosen so that an epoch takes seconds for each stem and size.
EPOCH = {
    ("3x3", 28): 25_600 if GPU else 128,
    ("3x3", 64): 25_600 if GPU else 64,
    ("imagenet", 28): 51_200 if GPU else 512,
    ("imagenet", 64): 51_200 if GPU else 256,
}
VARIANTS = {"ours, fp32": ("fp32", False), "ours, bf16": ("bf16", False), "ours, bf16 compiled": ("bf16", True)}


Part = tuple[np.ndarray, np.ndarray]


def pixels(num_images: int, size: int, seed: int = 0) -> Part:
    """Random uint8 images (N, S, S, 3) and labels (N,)."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (num_images, size, size, 3), dtype=np.uint8)
    return images, random.integers(0, NUM_CLASSES, num_images)


def on_the_device(parts: dict[str, Part]) -> ResidentData:
    images, labels = (
        {split: torch.from_numpy(part[place]).to(DEVICE) for split, part in parts.items()} for place in (0, 1)
    )
    return ResidentData(images, labels, NUM_CLASSES)


# --- (a) an epoch of training -----------------------------------------------------------------------------------


def training(repetitions: int) -> list[Result]:
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for stem, size, name in product(STEMS, (28, 64), AUGMENTATIONS):
            num_images = EPOCH[stem, size]
            part = pixels(num_images, size)
            variants: dict[str, Callable[[], object]] = {
                "research style": reference_epoch(stem, part, name, Path(folder))
            }
            for variant, (precision, compile) in VARIANTS.items():
                if not compile or name == "none":  # the compiled code does not depend on the augmentation
                    config = ModelConfig(stem=stem, precision=precision)
                    variants[variant] = our_epoch(config, part, name, Path(folder), compile_model if compile else None)
            seconds = interleaved(variants, repetitions)
            results.append(Result(f"{stem} stem, {size} px, {name}", "images", num_images, seconds))
    return results


def reference_epoch(
    stem: str, part: Part, name: str, folder: Path, batch_size: int = BATCH, model: nn.Module | None = None
) -> Callable[[], None]:
    """An epoch in research style; `model` replaces its ResNet-18."""
    model = model or peer.build(stem, NUM_CLASSES)
    batches = peer.loader(peer.Images(*part, peer.transform(name, part[0].shape[1])), batch_size)
    return partial(peer.train_epoch, model, batches, peer.sgd(model, 0.1), folder / "peer.pt")


# Makes the module that runs the training batches from the model, its data and the batch size.
MakeForward = Callable[[nn.Module, ResidentData, int], nn.Module]


def compile_model(model: nn.Module, data: ResidentData, batch_size: int) -> nn.Module:
    return compiled(model, data, batch_size)[0]


def our_epoch(
    config: ModelConfig,
    part: Part,
    name: str,
    folder: Path,
    make_forward: MakeForward | None = None,
    batch_size: int = BATCH,
) -> Callable[[], None]:
    """An epoch of `train`, with checkpoints at most as often as in a job."""
    data = on_the_device(dict.fromkeys(("train", "val", "test"), part))
    model = build_model(config, NUM_CLASSES, 0).to(DEVICE)
    protocol = Protocol(training=TrainingConfig(epochs=1, batch_size=batch_size))
    augmenter = Augmenter(name, protocol.augmentation, 0)
    with reproducible():  # a CUDA graph keeps the kernels selected at capture
        forward = make_forward(model, data, batch_size) if make_forward else None
    checkpoints = Checkpoints(save=partial(write_whole, folder / "ours.safetensors"), min_seconds=CHECKPOINT_SECONDS)
    indices = torch.arange(len(part[1]))
    seeds = Seeds.all(0)

    def epoch() -> None:
        with reproducible():
            train(model, data, indices, protocol.training, augmenter, seeds, checkpoints=checkpoints, forward=forward)

    return epoch


def reproducible() -> AbstractContextManager[None]:
    """Deterministic cuDNN, as in a job but not in research-style code."""
    return torch.backends.cudnn.flags(enabled=True, deterministic=True)


# --- (d) the input pipeline alone -----------------------------------------------------------------------------------


def pipeline(repetitions: int) -> list[Result]:
    """Throughput of augmented batches on the device, from uint8 pixels."""
    results = []
    for size, name in product((28, 64), AUGMENTATIONS):
        num_images = 25_600 if GPU else 512
        part = pixels(num_images, size)
        batches = peer.loader(peer.Images(*part, peer.transform(name, size)), BATCH)
        images, augmenter = torch.from_numpy(part[0]).to(DEVICE), Augmenter(name, Protocol().augmentation, 0)
        variants = {
            "PIL, image by image": partial(their_batches, batches),
            "ours, in batches": partial(our_batches, images, augmenter),
        }
        results.append(Result(f"{size} px, {name}", "images", num_images, interleaved(variants, repetitions)))
    return results


def their_batches(batches: DataLoader) -> None:
    for images, _ in batches:
        images.to(DEVICE)


def our_batches(images: Tensor, augmenter: Augmenter) -> None:
    draws = augmenter.draws(len(images), images.shape[1], "benchmark")
    draws = draws.to(DEVICE) if draws else None
    order, sizes = torch.randperm(len(images)).to(DEVICE), [BATCH] * (len(images) // BATCH)
    for _ in augmentation.augmented_batches(images, order, draws, augmenter.config, sizes):
        pass
