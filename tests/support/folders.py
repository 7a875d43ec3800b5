"""Small result folders in the shape that the grid writes, for the tests of what reads them."""

import hashlib
import json
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from salun_grid.analysis.metrics import Predictions
from salun_grid.analysis.rows import ROLES
from salun_grid.records.schemas import SCHEMAS

Run = dict[str, Any]
Sizes = tuple[int, int, int]

SPLITS = ("train", "val", "test")
# The sections of a protocol that decide what a retrain is and how any model is evaluated.
RETRAIN_SECTIONS = ("model", "training", "augmentation", "evaluation")


def protocol_text(name: str = "paper", image_size: int = 64, **sections: dict[str, Any]) -> str:
    """A protocol as JSON; `training={"epochs": 5}` changes one field of one section."""
    protocol: dict[str, Any] = {
        "name": name,
        "image_size": image_size,
        "model": {"stem": "3x3", "width": 64},
        "training": {"epochs": 200, "batch_size": 256, "learning_rate": 0.1, "milestones": [0.5, 0.75]},
        "augmentation": {"crop_padding": 0.125, "flip_probability": 0.5},
        "saliency": {"fraction": 0.5, "mode": "leaky"},
        "unlearning": {"epochs": 10, "batch_size": 256, "learning_rate": 0.013},
        "evaluation": {"mia_svc_c": 3.0, "mia_non_members": "test", "mia_members": "first"},
    }
    for section, fields in sections.items():
        protocol[section] = protocol[section] | fields
    return json.dumps(protocol, sort_keys=True)


def _key(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def make_run(**changes: Any) -> Run:
    """A complete row of `runs`. Its keys follow from the cell, so a retrain pairs with the cell's other rows."""
    run: Run = {
        "study": "paper",
        "dataset": "bloodmnist",
        "image_size": 64,
        "augmentation": "none",
        "seed": 0,
        "method": "salun",
        "forget_rate": 0.1,
        "forget_rule": "random",
        "num_classes": 8,
        "num_forget": 3,
        "num_retain": 9,
        "protocol": "paper",
        "model": "resnet18, 3x3 stem, width 64",
        "seeds": "{}",
        "method_params": "{}",
        "ua": 1.25,
        "ra": 99.5,
        "ta": 97.75,
        "mia": 2.5,
        "seconds_total": 90.0,
        "seconds_mask": 10.0,
        "seconds_train": 80.0,
        "seconds_eval": 5.0,
        "seconds_compile": 0.0,
        "seconds_load": 2.0,
        "num_train_images_seen": 120_000,
        "num_workers": 1,
        "device_name": "Some GPU",
        "precision": "fp32",
        "precision_reason": "asked for",
        "code_version": "0.1.0",
        "torch_version": "2.9.0",
        "ray_version": "2.56.0",
        "finished_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "memory_train": 3 * 2**30,
        "memory_eval": 2**30,
        "device_memory_train": 2**31,
        "device_memory_eval": 2**29,
        "note": None,
    } | changes
    run.setdefault("forget", f"random:{run['forget_rate']!r}")
    run.setdefault("role", ROLES.get(run["method"], "method"))
    run.setdefault("dataset_fingerprint", f"md5:{_key(run['dataset'], run['image_size'])}")
    run.setdefault("protocol_json", protocol_text(run["protocol"], run["image_size"]))
    protocol = json.loads(run["protocol_json"])
    cell = [run[name] for name in ("dataset", "image_size", "augmentation", "seed", "forget", "model")]
    cell += [protocol[section] for section in RETRAIN_SECTIONS]
    retrain_key = _key("retrain", cell)
    own_key = _key(run["method"], run["method_params"], protocol["saliency"], protocol["unlearning"], cell)
    run.setdefault("retrain_key", retrain_key)
    run.setdefault("job_key", retrain_key if run["method"] == "retrain" else own_key)
    run.setdefault("original_key", _key("original", cell))
    run.setdefault("model_key", _key("model", run["job_key"]))
    run.setdefault("command", f"salun-grid run paper --dataset {run['dataset']} --seed {run['seed']}")
    names = set(SCHEMAS["runs"].names)
    assert set(run) == names, f"not in both the schema and this row: {sorted(set(run) ^ names)}"
    return run


def make_grid(
    datasets: tuple[str, ...] = ("bloodmnist",),
    rates: tuple[float, ...] = (0.1,),
    augmentations: tuple[str, ...] = ("none",),
    seeds: tuple[int, ...] = (0, 1, 2),
    methods: tuple[str, ...] = ("retrain", "original", "salun"),
    **changes: Any,
) -> list[Run]:
    """A row for each combination, with random metrics that are the same in every process."""
    runs = []
    for dataset, rate, augmentation, seed, method in product(datasets, rates, augmentations, seeds, methods):
        cell = {"dataset": dataset, "forget_rate": rate, "augmentation": augmentation, "seed": seed}
        rng = np.random.default_rng(int(_key(method, cell), 16))
        metrics = dict(zip(("ua", "ra", "ta", "mia"), rng.uniform(0, 100, 4).tolist(), strict=True))
        seconds = {"seconds_total": float(rng.uniform(60, 6000))}
        runs.append(make_run(**cell | {"method": method} | metrics | seconds | changes))
    return runs


def make_predictions(seed: int = 0, sizes: Sizes = (12, 4, 6), num_classes: int = 4) -> Predictions:
    """Random logits for (train, val, test) images, about a quarter of the train images forgotten."""
    rng = np.random.default_rng(seed)
    logits, labels = {}, {}
    for split, size in zip(SPLITS, sizes, strict=True):
        labels[split] = rng.integers(0, num_classes, size)
        logits[split] = rng.normal(0, 2, (size, num_classes)).astype(np.float32)
        logits[split][np.arange(size), labels[split]] += 1.5
    return Predictions(logits, labels, np.arange(sizes[0]) % 4 == 1)


def _predictions_table(job_key: str, predictions: Predictions) -> pa.Table:
    rows = []
    for split in SPLITS:
        pairs = zip(predictions.labels[split], predictions.logits[split], strict=True)
        for index, (label, logits) in enumerate(pairs):
            forgotten = bool(split == "train" and predictions.forgotten[index])
            row = {"job_key": job_key, "split": split, "index": index, "forgotten": forgotten}
            rows.append(row | {"label": int(label), "logits": logits.tolist()})
    return pa.Table.from_pylist(rows, schema=SCHEMAS["predictions"])


def write_folder(path: Path, runs: list[Run]) -> Path:
    """Write one file a job under `path/results/runs` and `path/results/predictions`; returns `path`."""
    for table in ("runs", "predictions"):
        (path / "results" / table).mkdir(parents=True, exist_ok=True)
    for number, run in enumerate(runs):
        for table, content in zip(("runs", "predictions"), _contents(number, tuple(run.items())), strict=True):
            (path / "results" / table / f"{run['job_key']}.parquet").write_bytes(content)
    return path


@cache  # many tests write the same rows
def _contents(number: int, items: tuple[tuple[str, Any], ...]) -> tuple[bytes, bytes]:
    """The files of a row and of its predictions."""
    run = dict(items)
    predictions = _predictions_table(run["job_key"], make_predictions(seed=number))
    return tuple(map(_parquet, (pa.Table.from_pylist([run], schema=SCHEMAS["runs"]), predictions)))  # type: ignore[return-value]


def _parquet(table: pa.Table) -> bytes:
    buffer = BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def write_epochs(path: Path, runs: list[Run], epochs: int = 3, phases: tuple[str, ...] = ("forget", "retain")) -> None:
    """Write a few epochs for each training and unlearning behind `runs`; `phases` are those of an unlearning."""
    (path / "results" / "epochs").mkdir(parents=True, exist_ok=True)
    cell = (
        "study",
        "dataset",
        "image_size",
        "augmentation",
        "seed",
        "method",
        "role",
        "forget",
        "forget_rule",
        "forget_rate",
    )
    for run in runs:
        passes = {"retrain": ["train"], "retrain-again": ["train"]}.get(run["method"], list(phases))
        shared = {name: run[name] for name in cell} | {"model_key": run["model_key"]}
        if run["method"] == "original":
            shared |= {"forget": None, "forget_rule": None, "forget_rate": None, "model_key": run["original_key"]}
            passes = ["train"]
        rows = [
            shared
            | {"epoch": epoch, "phase": phase, "loss": 1.0, "accuracy": 10.0 * epoch + run["seed"]}
            | {"learning_rate": 0.1, "seconds": 1.0, "images_per_second": 100.0}
            for epoch in range(epochs)
            for phase in passes
        ]
        file = path / "results" / "epochs" / f"{shared['model_key']}.parquet"
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMAS["epochs"]), file)


def write_predictions(path: Path, job_key: str, predictions: Predictions) -> None:
    """Write, or write anew, the predictions of one job."""
    file = path / "results" / "predictions" / f"{job_key}.parquet"
    file.write_bytes(_parquet(_predictions_table(job_key, predictions)))


def damage_data(file: Path) -> None:
    """Overwrite the column data of a Parquet file; its footer, with the schema, stays whole."""
    content = file.read_bytes()
    footer = 8 + int.from_bytes(content[-8:-4], "little")
    file.write_bytes(content[:4] + b"\xff" * (len(content) - footer - 4) + content[-footer:])
