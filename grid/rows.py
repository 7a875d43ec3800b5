"""Columns of the tables that a job publishes; their schemas are in `records.schemas`."""

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
import pyarrow as pa

from salun_grid.analysis.metrics import Attack, Predictions, evaluate
from salun_grid.grid.memory import Peak, PeakMemory
from salun_grid.grid.provenance import repeat_command
from salun_grid.grid.release import code_version
from salun_grid.grid.specs import Evaluate, Probe, Spec, Train, Unlearn
from salun_grid.grid.study import Study
from salun_grid.records.schemas import ROLES, SCHEMAS
from salun_grid.trainables.architectures import described
from salun_grid.trainables.data import SPLITS, Dataset
from salun_grid.trainables.forget import rate_of
from salun_grid.trainables.passes import Epoch
from salun_grid.trainables.probes import Measure
from salun_grid.trainables.protocol import to_json

# The manifest fields of the no-op, which has no unlearning.
NO_OP: dict[str, Any] = {
    "seconds": {"mask": 0.0, "train": 0.0, "compile": 0.0},
    "num_images_seen": 0,
    "memory": asdict(Peak()),
}


def cell_columns(job: Spec, study: Study) -> dict[str, Any]:
    """The columns that `runs` and `epochs` share."""
    forget = job.forget
    return {
        "study": study.name,
        "dataset": job.data.name,
        "image_size": job.data.image_size,
        "augmentation": job.augmentation,
        "seed": job.seed,
        "method": job.method,
        "role": ROLES.get(job.method, "method"),
        "forget": None if forget is None else forget.label,
        "forget_rule": None if forget is None else forget.label.partition(":")[0],
        "forget_rate": None if forget is None else rate_of(forget.rule),
    }


def subject_columns(job: Evaluate | Probe, study: Study) -> dict[str, Any]:
    """The columns that `runs` and `measures` share: the cell, and the model that was evaluated or probed."""
    return cell_columns(job, study) | {
        "dataset_fingerprint": job.data.fingerprint,
        "protocol": study.protocol.name,
        "protocol_json": to_json(study.protocol),
        "model": described(job.model),
        "method_params": json.dumps(settings_of(job.subject), sort_keys=True),
        "job_key": job.key,
        "model_key": job.subject.key,
        "code_version": code_version(),
    }


def runs_columns(
    job: Evaluate,
    study: Study,
    predictions: Predictions,
    manifest: dict[str, Any],
    seconds: dict[str, float],
    memory: PeakMemory,
    note: str | None,
) -> dict[str, list]:
    """The row of an evaluated model. `seconds` has `load` and `predict`; the model's times are in its manifest.

    `memory` is the peak of the evaluation, including the metrics.
    """
    evaluation, forgotten = job.evaluation, predictions.forgotten
    attack = Attack(evaluation.mia_svc_c, evaluation.mia_non_members, evaluation.mia_members, job.seed)
    started = datetime.now(UTC)
    metrics = evaluate(predictions, attack)
    finished, peak = datetime.now(UTC), memory.read()
    own = manifest if job.subject.key != job.original.key else NO_OP
    seconds = own["seconds"] | seconds
    row = subject_columns(job, study) | metrics | {
        "num_classes": job.data.num_classes,
        "num_forget": int(forgotten.sum()),
        "num_retain": int((~forgotten).sum()),
        "seeds": json.dumps(asdict(job.subject.seeds), sort_keys=True),
        "seconds_total": seconds["mask"] + seconds["train"],
        "seconds_mask": seconds["mask"],
        "seconds_train": seconds["train"],
        "seconds_eval": seconds["predict"] + (finished - started).total_seconds(),
        "seconds_compile": seconds["compile"],
        "seconds_load": seconds["load"],
        "num_train_images_seen": own["num_images_seen"],
        "num_workers": manifest["num_workers"],
        "device_name": manifest["device_name"],
        "precision": manifest["precision"],
        "precision_reason": manifest["precision_reason"],
        "original_key": job.original.key,
        "retrain_key": job.retrain.key,
        "torch_version": version("torch"),
        "ray_version": version("ray") if "ray" in sys.modules else "none",
        "finished_at": finished,
        "command": repeat_command(study, job),
        "memory_train": own["memory"]["host"],
        "memory_eval": peak.host,
        "device_memory_train": own["memory"]["device"],
        "device_memory_eval": peak.device,
        "note": note,
    }  # fmt: skip
    return {name: [value] for name, value in row.items()}


def settings_of(subject: Train | Unlearn) -> dict[str, Any]:
    """The hyper-parameters of a cell's method, empty for the no-op."""
    if isinstance(subject, Train):
        return {} if subject.forget is None else asdict(subject.training)
    settings = asdict(subject.settings)
    if subject.mask:
        settings |= {f"mask_{name}": value for name, value in asdict(subject.mask).items()}
    return settings


def epochs_columns(job: Train | Unlearn, study: Study, epochs: list[Epoch]) -> dict[str, list]:
    """One row per pass."""
    shared = {name: [value] * len(epochs) for name, value in cell_columns(job, study).items()}
    return shared | {
        "model_key": [job.key] * len(epochs),
        "epoch": [epoch.epoch for epoch in epochs],
        "phase": [epoch.phase for epoch in epochs],
        "loss": [epoch.loss for epoch in epochs],
        "accuracy": [epoch.accuracy_percent for epoch in epochs],
        "learning_rate": [epoch.learning_rate for epoch in epochs],
        "seconds": [epoch.seconds for epoch in epochs],
        "images_per_second": [epoch.images_per_second for epoch in epochs],
    }


def measures_columns(job: Probe, study: Study, measures: list[Measure], device: str, seconds: float) -> dict[str, list]:
    """One row per measure."""
    shared = subject_columns(job, study) | {
        "probe": job.probe,
        "probe_params": json.dumps(asdict(job.settings), sort_keys=True),
        "seconds": seconds,
        "device_name": device,
    }
    found = [shared | asdict(measure) for measure in measures]
    return {name: [row[name] for row in found] for name in SCHEMAS["measures"].names}


def predictions_columns(job: Evaluate, predictions: Predictions, dataset: Dataset) -> dict[str, Any]:
    """One row per train, validation and test image."""
    sizes = [len(predictions.labels[split]) for split in SPLITS]
    logits = np.concatenate([predictions.logits[split] for split in SPLITS])
    logits_type = SCHEMAS["predictions"].field("logits").type
    offsets = np.arange(0, logits.size + 1, logits.shape[1], dtype=np.int32)
    splits = pa.DictionaryArray.from_arrays(np.repeat(np.arange(3, dtype=np.int32), sizes), list(SPLITS))
    return {
        "job_key": pa.array([job.key]).take(np.zeros(len(logits), dtype=np.int64)),
        "split": splits,
        "index": np.concatenate([np.arange(size, dtype=np.int32) for size in sizes]),
        "forgotten": np.concatenate([predictions.forgotten, np.zeros(sizes[1] + sizes[2], dtype=bool)]),
        "label": np.concatenate([predictions.labels[split] for split in SPLITS]).astype(np.int32),
        "logits": pa.ListArray.from_arrays(offsets, logits.reshape(-1), type=logits_type),
        "id": names_column(dataset, "ids", len(logits)),
        "group": names_column(dataset, "groups", len(logits)),
    }


def names_column(dataset: Dataset, kind: str, num_images: int) -> pa.Array:
    """The id or group of each image, split by split; nulls where the dataset has none."""
    names = dataset.names.get(kind)
    if not names:
        return pa.nulls(num_images, pa.string())
    return pa.concat_arrays([pa.array(names[split], type=pa.string()) for split in SPLITS])
