"""Benchmarks of several processes on one machine: data-parallel training, and several trainings on one device."""

import multiprocessing
import os
import tempfile
import time
from multiprocessing.synchronize import Barrier

import torch
import torch.distributed as dist
import torch.multiprocessing as spawning

from benchmarks.engine import NUM_CLASSES, on_the_device, pixels
from benchmarks.measure import DEVICE, Result
from salun_grid.trainables.architectures import build_model
from salun_grid.trainables.precision import here
from salun_grid.trainables.protocol import AugmentationConfig, ModelConfig, TrainingConfig
from salun_grid.trainables.resident import Augmenter
from salun_grid.trainables.seeds import Seeds
from salun_grid.trainables.training import prepare_device, train
from salun_grid.trainables.workers import ALONE, Worker

GPU = DEVICE.type == "cuda"
STEM, SIZE = ("3x3", 64) if GPU else ("3x3", 28)
NUM_IMAGES, BATCH = (25_600, 256) if GPU else (192, 64)
JOBS = (1, 2, 4, 8)


def an_epoch(worker: Worker, num_threads: int, barrier: Barrier | None = None) -> float:
    """Seconds of an epoch after a warm-up epoch; `barrier` synchronises the starts and ends of several processes."""
    torch.set_num_threads(num_threads)
    prepare_device(DEVICE)
    part = pixels(NUM_IMAGES, SIZE)
    data = on_the_device(dict.fromkeys(("train", "val", "test"), part))
    network = ModelConfig(stem=STEM, precision="auto")
    network = here(network, NUM_CLASSES, SIZE).of(network)
    model = build_model(network, NUM_CLASSES, 0).to(DEVICE)
    config, augmenter = TrainingConfig(epochs=1, batch_size=BATCH), Augmenter("none", AugmentationConfig(), 0)
    for _ in range(2):
        if barrier:
            barrier.wait()
        started = time.perf_counter()
        train(model, data, torch.arange(NUM_IMAGES), config, augmenter, Seeds.all(0), worker=worker)
        if barrier:
            barrier.wait()
        seconds = time.perf_counter() - started
    return seconds


# --- (g) one training by several workers ------------------------------------------------------------------------


def workers(repetitions: int) -> list[Result]:
    """Time an epoch with the same global batches on 1 and 2 CPU workers of one thread, or on 1, 2, 4 … GPUs."""
    most = torch.cuda.device_count() if GPU else 2
    counts = [count for count in (1, 2, 4, 8) if count <= most]
    seconds: dict[str, list[float]] = {f"{count} worker{'s' * (count > 1)}": [] for count in counts}
    for _ in range(repetitions):
        for variant, count in zip(seconds, counts, strict=True):
            seconds[variant].append(group(count))
    return [Result(f"an epoch, {STEM} stem, {SIZE} px, batch {BATCH}", "images", NUM_IMAGES, seconds)]


def group(count: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        spawning.spawn(one_worker, (count, folder), nprocs=count)
        return torch.load(f"{folder}/seconds.pt")


def one_worker(rank: int, world: int, folder: str) -> None:
    if GPU:
        torch.cuda.set_device(rank)
    if world == 1:
        seconds = an_epoch(ALONE, 1)
    else:
        dist.init_process_group("nccl" if GPU else "gloo", f"file://{folder}/meet", rank=rank, world_size=world)
        seconds = an_epoch(Worker(rank, world), 1)
        dist.destroy_process_group()
    if rank == 0:
        torch.save(seconds, f"{folder}/seconds.pt")


# --- (h) several trainings on one device ------------------------------------------------------------------------


def packing(repetitions: int) -> list[Result]:
    """Time 1, 2, 4 and 8 concurrent trainings, each in its own process; CPU threads are divided among them."""
    seconds: dict[str, list[float]] = {f"{count} at once": [] for count in JOBS}
    for _ in range(repetitions):
        for variant, count in zip(seconds, JOBS, strict=True):
            # Total seconds divided by the number of trainings: seconds per epoch.
            seconds[variant].append(at_once(count) / count)
    return [Result(f"an epoch, {STEM} stem, {SIZE} px, batch {BATCH}", "images", NUM_IMAGES, seconds)]


def at_once(count: int) -> float:
    """Seconds until the last of `count` trainings has finished its epoch."""
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(count), context.SimpleQueue()
    arguments = (max(1, (os.cpu_count() or 1) // count), barrier, queue)
    spawning.spawn(one_of_many, arguments, nprocs=count)  # if one process dies, the others are stopped
    return max(queue.get() for _ in range(count))


def one_of_many(rank: int, num_threads: int, barrier: Barrier, queue: multiprocessing.SimpleQueue) -> None:
    queue.put(an_epoch(ALONE, num_threads, barrier))
