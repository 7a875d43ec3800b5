"""The runners: RUNNERS maps each type of spec to the function that executes it in a worker process."""

import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from salun_grid.analysis.metrics import Predictions
from salun_grid.grid import rows
from salun_grid.grid.collapse import collapse_note
from salun_grid.grid.memory import PeakMemory
from salun_grid.grid.models import check_finite, load_model, publish_model
from salun_grid.grid.provenance import device_name
from salun_grid.grid.specs import Evaluate, Probe, Spec, Train, Unlearn
from salun_grid.grid.store import Store
from salun_grid.grid.workplace import Report, RunLoop, Workplace, recorder, resident
from salun_grid.records.errors import Diverged
from salun_grid.trainables.architectures import build_model
from salun_grid.trainables.checkpoint import Checkpoints
from salun_grid.trainables.data import Dataset
from salun_grid.trainables.forget import ForgetSet, retain_set
from salun_grid.trainables.methods import METHODS, Unlearning, unlearn
from salun_grid.trainables.passes import Epoch
from salun_grid.trainables.prediction import BATCH_SIZE as EVAL_BATCH_SIZE
from salun_grid.trainables.prediction import predict
from salun_grid.trainables.probes import PROBES
from salun_grid.trainables.protocol import AugmentationConfig
from salun_grid.trainables.resident import Augmenter, ResidentData
from salun_grid.trainables.seeds import own_layer_stream
from salun_grid.trainables.training import prepare_device, train

# A killed training loses at most the current epoch, or this many seconds where epochs are shorter.
CHECKPOINT_SECONDS = 5.0


def run_job(job: Spec, workplace: Workplace, run_loop: RunLoop) -> None:
    """Run `job` and publish its result, unless it is published. `run_loop` runs a training loop (Ray Train, or a call).

    Every data-parallel worker calls this; all train, and rank 0 publishes.

    A job may already be published if its process or node died between publishing and reporting to Tune, or if the job
    outlived a killed driver. A published result is never rewritten.
    """
    if is_published(job, workplace.store):
        return
    prepare_device(workplace.device)
    RUNNERS[type(job)](job, workplace, run_loop)


def is_published(job: Spec, store: Store) -> bool:
    return store.has(job.makes, job.key)


def failure(do: Callable[[], None]) -> str:
    """The traceback of the exception that `do` raises, or "". Raises if the CUDA context is lost: exit the process."""
    try:
        do()
    except Exception:
        reason = traceback.format_exc()
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()  # raises if the context is lost; after an out-of-memory error it is intact
        return reason
    return ""


def train_model(job: Train, workplace: Workplace, run_loop: RunLoop) -> None:
    """Train an original on D_i or a retrain on D_r, under `run_loop`, and publish it."""
    data = resident(workplace.dataset, workplace.device)
    run_loop(lambda: train_and_publish(job, workplace, data))


def train_and_publish(job: Train, workplace: Workplace, data: ResidentData) -> None:
    memory, seeds = PeakMemory(workplace.device), job.seeds
    _, retain = forget_and_retain(job.forget, workplace.dataset)
    model = build_model(job.model, data.num_classes, seeds.initialisation).to(data.device)
    epochs: list[Epoch] = []

    def save(state: bytes) -> None:
        """Publish a checkpoint; a full disk is no error, since it may have room for the model, half as large, later."""
        with suppress(OSError):
            workplace.store.publish_checkpoint(job.key, state)

    forward, seconds_compile = workplace.compiled(model, data, job.training.batch_size)

    def load() -> bytes | None:
        return workplace.store.read_checkpoint(job.key)

    def refuse(reason: str) -> None:
        if workplace.worker.rank == 0:
            path = workplace.store.address("checkpoints", f"{job.key}.safetensors")
            workplace.tell(f"{path} is damaged ({reason}), so {job.label} starts over")

    checkpoints = Checkpoints(load, save, CHECKPOINT_SECONDS, refuse)
    train(
        model,
        data,
        retain,
        job.training,
        augmenter_of(job, seeds.augmentation),
        seeds,
        recorder(epochs, workplace.report),
        workplace.worker,
        checkpoints,
        forward,
    )
    if workplace.worker.rank == 0:
        check_finite(model, job.advice)
        seconds = {"mask": 0.0, "train": sum(epoch.seconds for epoch in epochs), "compile": seconds_compile}
        publish_model(
            job, workplace, model, epochs, seconds, memory.read(), original_accuracy=epochs[-1].accuracy_percent
        )
        workplace.store.drop_checkpoint(job.key)


def unlearn_model(job: Unlearn, workplace: Workplace, run_loop: RunLoop) -> None:
    """Apply the job's method to the published original, and publish the unlearned model."""
    memory = PeakMemory(workplace.device)
    data = resident(workplace.dataset, workplace.device)
    model, of_original = load_model(job.original, workplace)
    epochs: list[Epoch] = []
    forward, seconds_compile = workplace.compiled(model, data, getattr(job.settings, "batch_size", EVAL_BATCH_SIZE))
    work = work_on(model, forward, job, workplace, recorder(epochs, workplace.report))
    seconds = asdict(unlearn(METHODS[job.method], work, job.mask)) | {"compile": seconds_compile}
    check_finite(model, job.advice)
    num_masked = len(work.forget) if job.mask else 0
    accuracy = of_original["original_accuracy_percent"]
    publish_model(job, workplace, model, epochs, seconds, memory.read(), accuracy, num_masked)


def evaluate_model(job: Evaluate, workplace: Workplace, run_loop: RunLoop) -> None:
    """Predict every image with a published model and publish the predictions and the row."""
    started, memory = time.perf_counter(), PeakMemory(workplace.device)
    data = resident(workplace.dataset, workplace.device)
    model, manifest = load_model(job.subject, workplace)
    loaded = time.perf_counter()
    logits = predict(model, data)
    if not all(np.isfinite(part).all() for part in logits.values()):
        raise Diverged(f"the logits of {job.subject.label} are not finite numbers; {job.subject.advice}.")
    seconds = {"load": loaded - started, "predict": time.perf_counter() - loaded}
    forgotten = np.zeros(len(workplace.dataset.labels["train"]), dtype=bool)
    forgotten[job.forget.indices(workplace.dataset.train)] = True
    predictions = Predictions(logits, workplace.dataset.labels, forgotten)
    note = collapse_note(job, predictions, manifest["original_accuracy_percent"])
    runs = rows.runs_columns(job, workplace.study, predictions, manifest, seconds, memory, note)
    if workplace.store.has_row(job.key):
        return
    workplace.store.publish_table("predictions", job.key, rows.predictions_columns(job, predictions, workplace.dataset))
    workplace.store.publish_table("runs", job.key, runs)
    if note:
        workplace.tell(f"{job.subject.label}: {note}")


def probe_model(job: Probe, workplace: Workplace, run_loop: RunLoop) -> None:
    """Run the job's probe on a published model, and publish its measures."""
    started = time.perf_counter()
    model, _ = load_model(job.subject, workplace)
    work = work_on(model, model, job, workplace, workplace.report)
    with own_layer_stream(workplace.device):
        measures = list(PROBES[job.probe].run(work))
    seconds = time.perf_counter() - started
    columns = rows.measures_columns(job, workplace.study, measures, device_name(str(workplace.device)), seconds)
    workplace.store.publish_table("measures", job.key, columns)


RUNNERS: dict[type, Callable[[Any, Workplace, RunLoop], None]] = {
    Train: train_model,
    Unlearn: unlearn_model,
    Evaluate: evaluate_model,
    Probe: probe_model,
}


def work_on(
    model: torch.nn.Module, forward: torch.nn.Module, job: Unlearn | Probe, workplace: Workplace, on_epoch: Report
) -> Unlearning[Any]:
    """The input of the method or probe of `job`: the model, D_f and D_r, settings and random streams."""
    data = resident(workplace.dataset, workplace.device)
    subsets = data.forget_and_retain(*forget_and_retain(job.forget, workplace.dataset))
    augmenter = augmenter_of(job.original, job.seeds.augmentation)
    return Unlearning(model, forward, data, *subsets, job.settings, augmenter, job.seeds, on_epoch)


def forget_and_retain(forget: ForgetSet | None, dataset: Dataset) -> tuple[torch.Tensor, torch.Tensor]:
    """D_f and D_r as int64 train indices; without a forget set, D_f is empty."""
    num_train = len(dataset.labels["train"])
    if forget is None:
        return torch.empty(0, dtype=torch.long), torch.arange(num_train)
    indices = forget.indices(dataset.train)
    return torch.from_numpy(indices), torch.from_numpy(retain_set(indices, num_train))


def augmenter_of(job: Train, seed: int) -> Augmenter:
    """The augmentation of a training, used also for unlearning from it."""
    return Augmenter(job.augmentation, job.strengths or AugmentationConfig(), seed)
