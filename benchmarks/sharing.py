"""Several processes on one machine: one training by several workers, and several trainings on one device."""

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
from trainables.model import build_model
from trainables.precision import on_device
from trainables.protocol import AugmentationConfig, ModelConfig, TrainingConfig
from trainables.seeds import Seeds
from trainables.training import Augmenter, train
from trainables.workers import ALONE, Worker

GPU = DEVICE.type == "cuda"
STEM, SIZE = ("3x3", 64) if GPU else ("3x3", 28)
NUM_IMAGES, BATCH = (25_600, 256) if GPU else (192, 64)
JOBS = (1, 2, 4, 8)


def an_epoch(worker: Worker, num_threads: int, repetitions: int, barrier: Barrier | None = None) -> list[float]:
    """Seconds of each of `repetitions` epochs, after one that warms up; `barrier` lets neighbours begin together."""
    torch.set_num_threads(num_threads)
    part = pixels(NUM_IMAGES, SIZE)
    data = on_the_device(dict.fromkeys(("train", "val", "test"), part))
    model = build_model(on_device(ModelConfig(stem=STEM, precision="auto"), DEVICE), NUM_CLASSES, 0).to(DEVICE)
    config, augmenter = TrainingConfig(epochs=1, batch_size=BATCH), Augmenter("none", AugmentationConfig(), 0)
    seconds = []
    for _ in range(1 + repetitions):
        if barrier:
            barrier.wait()
        started = time.perf_counter()
        train(model, data, torch.arange(NUM_IMAGES), config, augmenter, Seeds.all(0), worker=worker)
        if barrier:
            barrier.wait()
        seconds.append(time.perf_counter() - started)
    return seconds[1:]


# --- (g) one training by several workers ------------------------------------------------------------------------


def workers(repetitions: int) -> list[Result]:
    """An epoch of the same global batches by 1 worker and by 2, or by 1, 2, 4 … GPUs; a CPU worker has one thread."""
    most = torch.cuda.device_count() if GPU else 2
    counts = [count for count in (1, 2, 4, 8) if count <= most]
    seconds = {f"{count} worker{'s' * (count > 1)}": group(count, repetitions) for count in counts}
    return [Result(f"an epoch, {STEM} stem, {SIZE} px, batch {BATCH}", "images", NUM_IMAGES, seconds)]


def group(count: int, repetitions: int) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        spawning.spawn(one_worker, (count, repetitions, folder), nprocs=count)
        return torch.load(f"{folder}/seconds.pt")


def one_worker(rank: int, world: int, repetitions: int, folder: str) -> None:
    if GPU:
        torch.cuda.set_device(rank)
    if world == 1:
        seconds = an_epoch(ALONE, 1, repetitions)
    else:
        dist.init_process_group("nccl" if GPU else "gloo", f"file://{folder}/meet", rank=rank, world_size=world)
        seconds = an_epoch(Worker(rank, world), 1, repetitions)
        dist.destroy_process_group()
    if rank == 0:
        torch.save(seconds, f"{folder}/seconds.pt")


# --- (h) several trainings on one device ------------------------------------------------------------------------


def packing(repetitions: int) -> list[Result]:
    """1, 2, 4 and 8 trainings at once, each in its process; the CPU's threads are shared among them."""
    results = {}
    for count in JOBS:
        # The seconds of all together for as many images as one of them takes.
        results[f"{count} at once"] = [seconds / count for seconds in at_once(count, repetitions)]
    return [Result(f"an epoch, {STEM} stem, {SIZE} px, batch {BATCH}", "images", NUM_IMAGES, results)]


def at_once(count: int, repetitions: int) -> list[float]:
    """Seconds until the last of `count` trainings has ended its epoch."""
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(count), context.SimpleQueue()
    arguments = (max(1, (os.cpu_count() or 1) // count), repetitions, barrier, queue)
    processes = [context.Process(target=one_of_many, args=arguments) for _ in range(count)]
    for process in processes:
        process.start()
    found = [queue.get() for _ in processes]
    for process in processes:
        process.join()
    return [max(times) for times in zip(*found, strict=True)]


def one_of_many(num_threads: int, repetitions: int, barrier: Barrier, queue: multiprocessing.SimpleQueue) -> None:
    queue.put(an_epoch(ALONE, num_threads, repetitions, barrier))
