"""Synthetic result folders of any size for the reading benchmark."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from salun_grid.analysis.rows import ROLES
from salun_grid.grid.study import STUDIES
from salun_grid.records.forget_label import RANDOM, random_label
from salun_grid.records.schemas import SCHEMAS
from salun_grid.trainables.protocol import to_json

Run = dict[str, Any]

METHODS = ("retrain", "retrain-again", "original", "salun")
COUNTS = {"train": 14_000, "val": 2_000, "test": 4_000}  # images
NUM_CLASSES = 8
# Values of the columns that the benchmark does not use.
FILLERS: dict[pa.DataType, object] = {
    pa.string(): "{}",
    pa.int64(): 1,
    pa.float64(): 1.0,
    pa.timestamp("us", tz="UTC"): datetime(2026, 1, 1, tzinfo=UTC),
}


def make_rows(
    datasets: Iterable[str], rates: Iterable[float], augmentations: Iterable[str], seeds: Iterable[int]
) -> list[Run]:
    """Rows of `runs` for each combination and each of METHODS, with random metrics and matching keys."""
    rng = np.random.default_rng(0)
    fillers = {field.name: FILLERS[field.type] for field in SCHEMAS["runs"]}
    fillers |= {"protocol": "paper", "protocol_json": to_json(STUDIES["paper"].protocol), "note": None}
    rows = []
    for dataset, rate, augmentation, seed in product(datasets, rates, augmentations, seeds):
        cell = {"dataset": dataset, "forget_rate": rate, "augmentation": augmentation, "seed": seed}
        cell |= {"forget": random_label(rate), "forget_rule": RANDOM}
        num_forget = round(rate * COUNTS["train"])
        cell |= {"num_forget": num_forget, "num_retain": COUNTS["train"] - num_forget, "num_classes": NUM_CLASSES}
        keys = {method: hashlib.sha256(f"{cell} {method}".encode()).hexdigest()[:20] for method in METHODS}
        for method, key in keys.items():
            own = {
                "method": method,
                "role": ROLES.get(method, "method"),
                "job_key": key,
                "model_key": key,
                "dataset_fingerprint": dataset,
            }
            others = {"retrain_key": keys["retrain"], "original_key": keys["original"]}
            metrics = dict(zip(("ua", "ra", "ta", "mia"), rng.uniform(0, 100, 4).tolist(), strict=True))
            seconds = {"seconds_total": float(rng.uniform(60, 6000))}
            rows.append(fillers | cell | own | others | metrics | seconds)
    return rows


def write(folder: Path, rows: Sequence[Run], num_models: int) -> None:
    """Write the rows; the first `num_models` have their own predictions, the others link to those of the first."""
    for table in ("runs", "predictions"):
        (folder / "results" / table).mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(rows):
        of_row, file = (folder / "results" / table / f"{row['job_key']}.parquet" for table in ("runs", "predictions"))
        pq.write_table(pa.Table.from_pylist([row], schema=SCHEMAS["runs"]), of_row)
        if number < num_models:
            pq.write_table(predictions(row, number), file, compression="zstd")
        else:
            os.link(folder / "results" / "predictions" / f"{rows[0]['job_key']}.parquet", file)


def predictions(row: Run, seed: int) -> pa.Table:
    """Random logits of 20,000 images, mostly correct; the forget set depends on the row's seed."""
    rng, total = np.random.default_rng(seed), sum(COUNTS.values())
    forgotten = np.random.default_rng(row["seed"]).permutation(COUNTS["train"]) < row["num_forget"]
    labels = np.random.default_rng(0).integers(0, NUM_CLASSES, total)
    logits = rng.normal(0, 2, (total, NUM_CLASSES)).astype(np.float32)
    logits[np.arange(total), labels] += 4
    kind = SCHEMAS["predictions"].field("logits").type
    offsets = np.arange(0, logits.size + 1, NUM_CLASSES, dtype=np.int32)
    splits = np.repeat(np.arange(len(COUNTS), dtype=np.int32), list(COUNTS.values()))
    columns = {
        "job_key": [row["job_key"]] * total,
        "split": pa.DictionaryArray.from_arrays(splits, list(COUNTS)),
        "index": np.concatenate([np.arange(count) for count in COUNTS.values()]),
        "forgotten": np.concatenate([forgotten, np.zeros(total - COUNTS["train"], dtype=bool)]),
        "label": labels,
        "logits": pa.ListArray.from_arrays(offsets, logits.reshape(-1), type=kind),
        "id": pa.nulls(total, pa.string()),
        "group": pa.nulls(total, pa.string()),
    }
    return pa.table(columns, schema=SCHEMAS["predictions"])
