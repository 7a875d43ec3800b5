"""What one job does, in the process that Ray gives it: make the model unless it is published, then evaluate it."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from analysis.metrics import Predictions
from grid import landing
from grid.plan import Job
from grid.provenance import code_version, device_name
from grid.store import Store
from grid.study import Study
from trainables.checkpoint import Checkpoints
from trainables.compiled import compiled
from trainables.data import Dataset, DatasetInfo
from trainables.forget import retain_set, uniform_forget_set
from trainables.layout import laid_out
from trainables.methods import Unlearning, unlearn
from trainables.model import ResNet18, build_model
from trainables.precision import on_device, precision_on
from trainables.prediction import predict
from trainables.protocol import ModelConfig, to_json
from trainables.training import Augmenter, Epoch, ResidentData, train, warm_up
from trainables.workers import ALONE, Worker

Report = Callable[[Epoch], None]

# A killed training loses the current epoch at most, or this long where epochs are shorter.
CHECKPOINT_SECONDS = 5.0


@dataclass(frozen=True)
class Workplace:
    """Where and how a job runs and what it works on. `report` is called after each epoch."""

    study: Study
    dataset: Dataset
    store: Store
    device: torch.device
    report: Report
    worker: Worker = ALONE
    compile: bool = False

    @property
    def info(self) -> DatasetInfo:
        return self.dataset.info

    @property
    def model(self) -> ModelConfig:
        """The study's model in the precision that this device gives it."""
        return on_device(self.study.protocol.model, self.device)

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


def run_job(job: Job, place: Workplace, fit: Callable[[Callable[[], None]], None]) -> None:
    """Do `job` and publish it. `fit` runs a training loop (Ray Train's wrapper, or a plain call).

    Of several workers, each calls this; all train, the first publishes and evaluates.
    """
    warm_up(place.device)
    started = time.perf_counter()
    data = resident(place.dataset, place.device)
    load_seconds = time.perf_counter() - started
    if not place.store.has_model(job.model_key):
        if job.kind == "unlearn":
            unlearn_model(job, place, data)
        else:
            fit(lambda: train_model(job, place, data))
    if job.kind != "original" and place.worker.rank == 0:
        evaluate_model(job, place, data, load_seconds)


def train_model(job: Job, place: Workplace, data: ResidentData) -> None:
    """Train an original on D_i or a retrain on D_r, and publish it."""
    protocol, seeds = place.study.protocol, job.seeds
    _, retain = forget_and_retain(job, place.info)
    model = build_model(place.model, data.num_classes, seeds.initialisation).to(data.device)
    augmenter = Augmenter(job.augmentation, protocol.augmentation, seeds.augmentation)
    epochs: list[Epoch] = []

    def save(state: bytes) -> None:
        """A full disk that refuses a state may have room for the model, half as large, or again by the end."""
        with suppress(OSError):
            place.store.publish_checkpoint(job.model_key, state)

    forward, seconds_compile = place.compiled(model, data, protocol.training.batch_size)
    checkpoints = Checkpoints(lambda: place.store.read_checkpoint(job.model_key), save, CHECKPOINT_SECONDS)
    train(
        model,
        data,
        retain,
        protocol.training,
        augmenter,
        seeds,
        recorder(epochs, place.report),
        place.worker,
        checkpoints,
        forward,
    )
    if place.worker.rank == 0:
        seconds_train = sum(epoch.seconds for epoch in epochs)
        seconds = {"mask": 0.0, "train": seconds_train, "compile": seconds_compile}
        publish_model(job, place, model, epochs, seconds)
        place.store.drop_checkpoint(job.model_key)


def unlearn_model(job: Job, place: Workplace, data: ResidentData) -> None:
    """Apply the job's method to its published original, and publish the outcome."""
    protocol, seeds = place.study.protocol, job.seeds
    forget, retain = forget_and_retain(job, place.info)
    model = load_model(place, job.original_key)
    augmenter = Augmenter(job.augmentation, protocol.augmentation, seeds.augmentation)
    epochs: list[Epoch] = []
    forward, seconds_compile = place.compiled(model, data, protocol.unlearning.batch_size)
    work = Unlearning(model, forward, data, forget, retain, protocol, augmenter, seeds, recorder(epochs, place.report))
    seconds = unlearn(job.method, work)
    publish_model(job, place, model, epochs, asdict(seconds) | {"compile": seconds_compile})


def evaluate_model(job: Job, place: Workplace, data: ResidentData, load_seconds: float) -> None:
    """Predict every image with the job's model and publish its predictions and its row, unless they are there.

    They are where the process or its machine died after publishing, before Tune heard of it, or where a job outlived a
    killed driver: a published row is never written again.
    """
    if place.store.has_row(job.key):
        return
    started = time.perf_counter()
    manifest = place.store.read_manifest(job.model_key)
    model = load_model(place, job.model_key)
    loaded = time.perf_counter()
    logits = predict(model, data)
    seconds = {"load": load_seconds + loaded - started, "predict": time.perf_counter() - loaded}
    forget, _ = forget_and_retain(job, place.info)
    forgotten = torch.zeros(place.info.num_images["train"], dtype=torch.bool)
    forgotten[forget] = True
    predictions = Predictions(logits, place.dataset.labels, forgotten.numpy())
    runs = landing.runs_columns(job, place.study, place.info, predictions, manifest, seconds)
    if place.store.has_row(job.key):
        return
    place.store.publish_table("predictions", job.key, landing.predictions_columns(job, predictions))
    place.store.publish_table("runs", job.key, runs)


def forget_and_retain(job: Job, info: DatasetInfo) -> tuple[torch.Tensor, torch.Tensor]:
    """D_f and D_r as int64 train indices; an original forgets nothing."""
    num_train = info.num_images["train"]
    if job.forget_rate is None:
        return torch.empty(0, dtype=torch.long), torch.arange(num_train)
    forget = uniform_forget_set(job.forget_rate, num_train, job.seeds.forget)
    return torch.from_numpy(forget), torch.from_numpy(retain_set(forget, num_train))


def load_model(place: Workplace, key: str) -> ResNet18:
    """A published model on this workplace's device."""
    model = ResNet18(place.model, place.info.num_classes)
    model.load_state_dict(load_safetensors(place.store.read_weights(key)))
    return laid_out(model.to(place.device))


def publish_model(
    job: Job, place: Workplace, model: torch.nn.Module, epochs: list[Epoch], seconds: dict[str, float]
) -> None:
    """Publish the epochs, then the weights, then the manifest that makes the model count as done.

    A model that another process has published meanwhile stays as it is.
    """
    if place.store.has_model(job.model_key):
        return
    precision = precision_on(place.device, place.study.protocol.model.precision)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    manifest = {
        "model_key": job.model_key,
        "job": {
            name: getattr(job, name) for name in ("kind", "method", "dataset", "augmentation", "seed", "forget_rate")
        },
        "dataset_fingerprint": place.info.fingerprint,
        "num_classes": place.info.num_classes,
        "image_size": place.info.image_size,
        "protocol": to_json(place.study.protocol),
        "precision": precision.name,
        "precision_reason": precision.reason,
        "seconds": seconds,
        "num_workers": place.worker.world,
        "device_name": device_name(str(place.device)),
        "code_version": code_version(),
        "torch_version": torch.__version__,
    }
    place.store.publish_table("epochs", job.model_key, landing.epochs_columns(job, place.study, place.info, epochs))
    place.store.publish_model(job.model_key, save_safetensors(weights), manifest)


def recorder(epochs: list[Epoch], report: Report) -> Report:
    """An `on_epoch` that keeps each epoch for its Parquet and passes it on."""

    def record(epoch: Epoch) -> None:
        epochs.append(epoch)
        report(epoch)

    return record
