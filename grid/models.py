"""Loading and publishing models."""

from dataclasses import asdict, replace
from functools import lru_cache
from hashlib import sha256
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from salun_grid.grid import rows
from salun_grid.grid.memory import Peak
from salun_grid.grid.provenance import device_name
from salun_grid.grid.release import code_version
from salun_grid.grid.specs import Train, Unlearn
from salun_grid.grid.store import WEIGHTS_FILE, Store
from salun_grid.grid.workplace import Workplace
from salun_grid.records.errors import Diverged
from salun_grid.trainables.architectures import Classifier, loaded_model
from salun_grid.trainables.passes import Epoch
from salun_grid.trainables.precision import Precision, precision_on
from salun_grid.trainables.protocol import to_json


def load_model(job: Train | Unlearn, workplace: Workplace) -> tuple[Classifier, dict[str, Any]]:
    """A published model on this workplace's device, and its manifest. Raises InputError if its files are damaged."""
    weights, manifest = published(workplace.store.out, job.key)
    try:
        model = loaded_model(job.model, workplace.num_classes, load_safetensors(weights))
    except (SafetensorError, RuntimeError):
        raise workplace.store.damaged_model(job.key, WEIGHTS_FILE) from None
    return model.to(workplace.device), manifest


@lru_cache(maxsize=2)
def published(out: str, key: str) -> tuple[bytes, dict[str, Any]]:
    """Weights and manifest of a model, so that the next method on the same original does not read them again.

    Bytes, since a method changes the tensors that are made of them.
    """
    return Store(out).read_model(key)


def publish_model(
    job: Train | Unlearn,
    workplace: Workplace,
    model: torch.nn.Module,
    epochs: list[Epoch],
    seconds: dict[str, float],
    memory: Peak,
    original_accuracy: float,
    num_masked: int = 0,
) -> None:
    """Publish the epochs, then the weights, then the manifest, which marks the model as published.

    `original_accuracy` is the accuracy in percent of the last epoch of the cell's original; for a training, its own.
    A model that another process has published meanwhile is kept. `num_masked` counts the images used for the mask.
    """
    if workplace.store.has_model(job.key):
        return
    precision = precision_of(job, workplace)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    content = save_safetensors(weights)
    manifest = {
        "weights_sha256": sha256(content).hexdigest(),
        "model_key": job.key,
        "job": rows.cell_columns(job, workplace.study) | {"kind": type(job).__name__.lower()},
        "dataset_fingerprint": job.data.fingerprint,
        "num_classes": job.data.num_classes,
        "image_size": job.data.image_size,
        "protocol": to_json(workplace.study.protocol),
        "precision": precision.name,
        "precision_reason": precision.reason,
        "seconds": seconds,
        "num_images_seen": sum(epoch.num_images for epoch in epochs) + num_masked,
        "original_accuracy_percent": original_accuracy,
        "memory": asdict(memory),
        "num_workers": workplace.worker.world,
        "device_name": device_name(str(workplace.device)),
        "code_version": code_version(),
        "torch_version": torch.__version__,
    }
    workplace.store.publish_table("epochs", job.key, rows.epochs_columns(job, workplace.study, epochs))
    workplace.store.publish_model(job.key, content, manifest)


def precision_of(job: Train | Unlearn, workplace: Workplace) -> Precision:
    """The precision of the job, with the reason on this device."""
    asked = replace(job.model, precision=workplace.study.protocol.model.precision)
    found = precision_on(workplace.device, asked, job.data.num_classes, job.data.image_size)
    if found.name != job.model.precision:
        return Precision(job.model.precision, "auto, as resolved on the machine that planned the study")
    return found


def check_finite(model: torch.nn.Module, advice: str) -> None:
    """Raise Diverged if a weight or a BatchNorm statistic is not finite."""
    if not all(tensor.isfinite().all() for tensor in model.state_dict().values()):
        raise Diverged(f"the weights are not finite numbers; {advice}.")
