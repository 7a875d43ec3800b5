"""What each kind of job does, in the process that Ray gives it; RUNNERS has a line for each."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from analysis.metrics import Predictions
from grid import landing
from grid.provenance import device_name
from grid.release import code_version
from grid.specs import Evaluate, Spec, Train, Unlearn
from grid.store import WEIGHTS_FILE, Store
from grid.study import Study
from trainables.checkpoint import Checkpoints
from trainables.compiled import compiled
from trainables.data import Dataset
from trainables.errors import Diverged
from trainables.forget import ForgetSet, retain_set
from trainables.layout import laid_out
from trainables.methods import METHODS, Unlearning, unlearn
from trainables.model import ResNet18, build_model
from trainables.passes import Epoch
from trainables.precision import precision_on
from trainables.prediction import BATCH_SIZE as EVAL_BATCH_SIZE
from trainables.prediction import predict
from trainables.protocol import AugmentationConfig, to_json
from trainables.resident import Augmenter, ResidentData
from trainables.training import train, warm_up
from trainables.workers import ALONE, Worker

Report = Callable[[Epoch], None]
Fit = Callable[[Callable[[], None]], None]

# A killed training loses the current epoch at most, or this long where epochs are shorter.
CHECKPOINT_SECONDS = 5.0


@dataclass(frozen=True)
class Workplace:
    """Where and how a job runs and what it works on. `report` is called after each epoch, `tell` with a line."""

    study: Study
    dataset: Dataset
    store: Store
    device: torch.device
    report: Report
    worker: Worker = ALONE
    compile: bool = False
    tell: Callable[[str], None] = lambda text: None

    @property
    def num_classes(self) -> int:
        return self.dataset.info.num_classes

    def compiled(self, model: torch.nn.Module, data: ResidentData, batch_size: int) -> tuple[torch.nn.Module, float]:
        """What training batches go through, and the seconds that compiling it took."""
        return compiled(model, data, batch_size) if self.compile else (model, 0.0)


_resident: dict[tuple[str, int, torch.device], ResidentData] = {}


def resident(dataset: Dataset, device: torch.device) -> ResidentData:
    """The dataset on the device; a warm process keeps the last one for its next job."""
    key = (dataset.info.fingerprint, dataset.info.image_size, device)
    if key not in _resident:
        _resident.clear()
        _resident[key] = ResidentData.of(dataset, device)
    return _resident[key]


def run_job(job: Spec, place: Workplace, fit: Fit) -> None:
    """Do `job` and publish it, unless it is published. `fit` runs a training loop (Ray Train's wrapper, or a call).

    Of several workers, each calls this; all train, the first publishes.

    What is published already was so where a process or its machine died after publishing, before Tune heard of it, or
    where a job outlived a killed driver; it is never written again.
    """
    if is_published(job, place.store):
        return
    warm_up(place.device)
    RUNNERS[type(job)](job, place, fit)


def is_published(job: Spec, store: Store) -> bool:
    return store.has_model(job.key) if job.makes == "model" else store.has_row(job.key)


def train_model(job: Train, place: Workplace, fit: Fit) -> None:
    """Train an original on D_i or a retrain on D_r, under `fit`, and publish it."""
    data = resident(place.dataset, place.device)
    fit(lambda: train_and_publish(job, place, data))


def train_and_publish(job: Train, place: Workplace, data: ResidentData) -> None:
    seeds = job.seeds
    _, retain = forget_and_retain(job.forget, place.dataset)
    model = build_model(job.model, data.num_classes, seeds.initialisation).to(data.device)
    epochs: list[Epoch] = []

    def save(state: bytes) -> None:
        """A full disk that refuses a state may have room for the model, half as large, or again by the end."""
        with suppress(OSError):
            place.store.publish_checkpoint(job.key, state)

    forward, seconds_compile = place.compiled(model, data, job.training.batch_size)

    def load() -> bytes | None:
        return place.store.read_checkpoint(job.key)

    def refuse(reason: str) -> None:
        if place.worker.rank == 0:
            path = place.store.address("checkpoints", f"{job.key}.safetensors")
            place.tell(f"{path} is damaged ({reason}), so {job.label} starts over")

    checkpoints = Checkpoints(load, save, CHECKPOINT_SECONDS, refuse)
    train(
        model,
        data,
        retain,
        job.training,
        augmenter_of(job, seeds.augmentation),
        seeds,
        recorder(epochs, place.report),
        place.worker,
        checkpoints,
        forward,
    )
    if place.worker.rank == 0:
        check_finite(model, "training.learning_rate", job.training.learning_rate)
        seconds = {"mask": 0.0, "train": sum(epoch.seconds for epoch in epochs), "compile": seconds_compile}
        publish_model(job, place, model, epochs, seconds, num_masked=0)
        place.store.drop_checkpoint(job.key)


def unlearn_model(job: Unlearn, place: Workplace, fit: Fit) -> None:
    """Apply the job's method to its published original, and publish the outcome."""
    data = resident(place.dataset, place.device)
    forget, retain = forget_and_retain(job.forget, place.dataset)
    model, _ = load_model(job.original, place)
    epochs: list[Epoch] = []
    forward, seconds_compile = place.compiled(model, data, getattr(job.settings, "batch_size", EVAL_BATCH_SIZE))
    work = Unlearning(
        model,
        forward,
        data,
        *data.forget_and_retain(forget, retain),
        job.settings,
        augmenter_of(job.original, job.seeds.augmentation),
        job.seeds,
        recorder(epochs, place.report),
    )
    seconds = asdict(unlearn(METHODS[job.method], work, job.mask)) | {"compile": seconds_compile}
    check_finite(model, f"{job.method}'s learning_rate", getattr(job.settings, "learning_rate", "unset"))
    publish_model(job, place, model, epochs, seconds, num_masked=len(forget) if job.mask else 0)


def evaluate_model(job: Evaluate, place: Workplace, fit: Fit) -> None:
    """Predict every image with a published model and publish the predictions and the row."""
    started = time.perf_counter()
    data = resident(place.dataset, place.device)
    model, manifest = load_model(job.subject, place)
    loaded = time.perf_counter()
    logits = predict(model, data)
    if not all(np.isfinite(part).all() for part in logits.values()):
        raise Diverged(f"the logits of {job.subject.label} are not finite numbers; try a lower learning rate.")
    seconds = {"load": loaded - started, "predict": time.perf_counter() - loaded}
    forgotten = np.zeros(len(place.dataset.labels["train"]), dtype=bool)
    forgotten[job.forget.indices(place.dataset.labels["train"])] = True
    predictions = Predictions(logits, place.dataset.labels, forgotten)
    runs = landing.runs_columns(job, place.study, predictions, manifest, seconds)
    if place.store.has_row(job.key):
        return
    place.store.publish_table("predictions", job.key, landing.predictions_columns(job, predictions))
    place.store.publish_table("runs", job.key, runs)


RUNNERS: dict[type, Callable[[Any, Workplace, Fit], None]] = {
    Train: train_model,
    Unlearn: unlearn_model,
    Evaluate: evaluate_model,
}


def check_finite(model: torch.nn.Module, setting: str, value: object) -> None:
    """Raise Diverged where a weight or a statistic is no finite number: nothing could be evaluated."""
    if not all(tensor.isfinite().all() for tensor in model.state_dict().values()):
        raise Diverged(f"the weights are not finite numbers; lower {setting}, now {value}.")


def forget_and_retain(forget: ForgetSet | None, dataset: Dataset) -> tuple[torch.Tensor, torch.Tensor]:
    """D_f and D_r as int64 train indices; without a forget set, D_f is empty."""
    labels = dataset.labels["train"]
    if forget is None:
        return torch.empty(0, dtype=torch.long), torch.arange(len(labels))
    indices = forget.indices(labels)
    return torch.from_numpy(indices), torch.from_numpy(retain_set(indices, len(labels)))


def augmenter_of(job: Train, seed: int) -> Augmenter:
    """The augmentation of a training, and of what is unlearned from it."""
    return Augmenter(job.augmentation, job.strengths or AugmentationConfig(), seed)


def load_model(job: Train | Unlearn, place: Workplace) -> tuple[ResNet18, dict[str, Any]]:
    """A published model on this workplace's device, and its manifest. Raises InputError where its files are damaged."""
    weights, manifest = place.store.read_model(job.key)
    model = ResNet18(job.model, place.num_classes)
    try:
        model.load_state_dict(load_safetensors(weights))
    except (SafetensorError, RuntimeError):
        raise place.store.damaged_model(job.key, WEIGHTS_FILE) from None
    return laid_out(model.to(place.device)), manifest


def publish_model(
    job: Train | Unlearn,
    place: Workplace,
    model: torch.nn.Module,
    epochs: list[Epoch],
    seconds: dict[str, float],
    num_masked: int,
) -> None:
    """Publish the epochs, then the weights, then the manifest that makes the model count as done.

    A model that another process has published meanwhile stays as it is. `num_masked` images went through the mask.
    """
    if place.store.has_model(job.key):
        return
    asked = place.study.protocol.model.precision
    precision = precision_on(place.device, job.model.precision)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    content = save_safetensors(weights)
    manifest = {
        "weights_sha256": sha256(content).hexdigest(),
        "model_key": job.key,
        "job": landing.cell_columns(job, place.study) | {"kind": type(job).__name__.lower()},
        "dataset_fingerprint": job.data.fingerprint,
        "num_classes": job.data.num_classes,
        "image_size": job.data.image_size,
        "protocol": to_json(place.study.protocol),
        "precision": precision.name,
        "precision_reason": precision.reason.replace("asked for", "auto", 1) if asked == "auto" else precision.reason,
        "seconds": seconds,
        "num_images_seen": sum(epoch.num_images for epoch in epochs) + num_masked,
        "num_workers": place.worker.world,
        "device_name": device_name(str(place.device)),
        "code_version": code_version(),
        "torch_version": torch.__version__,
    }
    place.store.publish_table("epochs", job.key, landing.epochs_columns(job, place.study, epochs))
    place.store.publish_model(job.key, content, manifest)


def recorder(epochs: list[Epoch], report: Report) -> Report:
    """An `on_epoch` that keeps each epoch for its Parquet and passes it on."""

    def record(epoch: Epoch) -> None:
        epochs.append(epoch)
        report(epoch)

    return record
