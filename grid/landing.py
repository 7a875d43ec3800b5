"""From a job's outcome to the rows that land; their schemas are in `analysis.schemas`."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
import pyarrow as pa

from analysis.metrics import Attack, Predictions, evaluate
from analysis.schemas import SCHEMAS
from grid.plan import Job
from grid.provenance import code_version, repeat_command
from grid.study import Study
from trainables.data import SPLITS, DatasetInfo
from trainables.methods import METHODS, RETRAINS
from trainables.protocol import Protocol, to_json
from trainables.training import Epoch


def cell_columns(job: Job, study: Study, info: DatasetInfo) -> dict[str, Any]:
    """The columns that `runs` and `epochs` share."""
    return {
        "study": study.name,
        "dataset": info.name,
        "image_size": info.image_size,
        "augmentation": job.augmentation,
        "seed": job.seed,
        "method": job.method,
        "forget_rate": job.forget_rate,
    }


def runs_columns(
    job: Job,
    study: Study,
    info: DatasetInfo,
    predictions: Predictions,
    manifest: dict[str, Any],
    seconds: dict[str, float],
) -> dict[str, list]:
    """The one row of an evaluated model. `seconds` has `load` and `predict`; the model's own are in its manifest."""
    protocol, forgotten = study.protocol, predictions.forgotten
    evaluation = protocol.evaluation
    attack = Attack(evaluation.mia_svc_c, evaluation.mia_non_members, evaluation.mia_members, job.seed)
    started = datetime.now(UTC)
    metrics = evaluate(predictions, attack)
    finished = datetime.now(UTC)
    own = manifest["seconds"] if job.model_key != job.original_key else {"mask": 0.0, "train": 0.0, "compile": 0.0}
    row = cell_columns(job, study, info) | metrics | {
        "dataset_fingerprint": info.fingerprint,
        "num_classes": info.num_classes,
        "num_forget": int(forgotten.sum()),
        "num_retain": int((~forgotten).sum()),
        "protocol": protocol.name,
        "protocol_json": to_json(protocol),
        "model": f"resnet18, {protocol.model.stem} stem, width {protocol.model.width}",
        "method_params": json.dumps(method_params(job.method, protocol), sort_keys=True),
        "seeds": json.dumps(asdict(job.seeds), sort_keys=True),
        "seconds_total": own["mask"] + own["train"],
        "seconds_mask": own["mask"],
        "seconds_train": own["train"],
        "seconds_eval": seconds["predict"] + (finished - started).total_seconds(),
        "seconds_compile": own["compile"],
        "seconds_load": seconds["load"],
        "num_train_images_seen": job.train_images,
        "num_workers": manifest["num_workers"],
        "device_name": manifest["device_name"],
        "precision": manifest["precision"],
        "precision_reason": manifest["precision_reason"],
        "job_key": job.key,
        "model_key": job.model_key,
        "original_key": job.original_key,
        "retrain_key": job.retrain_key,
        "code_version": code_version(),
        "torch_version": version("torch"),
        "ray_version": version("ray"),
        "finished_at": finished,
        "command": repeat_command(study, job),
    }  # fmt: skip
    return {name: [value] for name, value in row.items()}


def method_params(method: str, protocol: Protocol) -> dict[str, Any]:
    """The hyper-parameters that decide what `method` does."""
    if method in RETRAINS:
        return asdict(protocol.training)
    row = METHODS[method]
    params: dict[str, Any] = asdict(protocol.unlearning) if row.trains else {}
    if row.masked:
        params |= {f"mask_{name}": value for name, value in asdict(protocol.saliency).items()}
    return params


def epochs_columns(job: Job, study: Study, info: DatasetInfo, epochs: list[Epoch]) -> dict[str, list]:
    """One row for each pass."""
    shared = {name: [value] * len(epochs) for name, value in cell_columns(job, study, info).items()}
    return shared | {
        "model_key": [job.model_key] * len(epochs),
        "epoch": [epoch.epoch for epoch in epochs],
        "phase": [epoch.phase for epoch in epochs],
        "loss": [epoch.loss for epoch in epochs],
        "accuracy": [epoch.accuracy_percent for epoch in epochs],
        "learning_rate": [epoch.learning_rate for epoch in epochs],
        "seconds": [epoch.seconds for epoch in epochs],
        "images_per_second": [epoch.images_per_second for epoch in epochs],
    }


def predictions_columns(job: Job, predictions: Predictions) -> dict[str, Any]:
    """One row for each train, validation and test image."""
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
    }
