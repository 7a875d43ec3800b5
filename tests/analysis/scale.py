"""Seconds and memory of the analysis on a large synthetic folder: python -m tests.analysis.scale FOLDER

Writes 10,000 rows of `runs` and as many files of 20,000 predictions (links to one, so that the disk holds them), and
100 models with predictions of their own; then runs the commands on them and prints what they took. Not a test.
"""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from salun_grid.analysis.schemas import SCHEMAS
from tests.analysis.folders import Run, make_grid

NUM_TRAIN, NUM_VAL, NUM_TEST, NUM_CLASSES = 14_000, 2_000, 4_000, 8
COUNTS = {"train": NUM_TRAIN, "val": NUM_VAL, "test": NUM_TEST}


def predictions(run: Run, forgotten: np.ndarray, rng: np.random.Generator) -> pa.Table:
    """Random logits of 20,000 images, right more often than not."""
    total = sum(COUNTS.values())
    labels = np.random.default_rng(0).integers(0, NUM_CLASSES, total)
    logits = rng.normal(0, 2, (total, NUM_CLASSES)).astype(np.float32)
    logits[np.arange(total), labels] += 4
    kind = SCHEMAS["predictions"].field("logits").type
    offsets = np.arange(0, logits.size + 1, NUM_CLASSES, dtype=np.int32)
    columns = {
        "job_key": [run["job_key"]] * total,
        "split": pa.DictionaryArray.from_arrays(
            np.repeat(np.arange(3, dtype=np.int32), list(COUNTS.values())), list(COUNTS)
        ),
        "index": np.concatenate([np.arange(count) for count in COUNTS.values()]),
        "forgotten": np.concatenate([forgotten, np.zeros(NUM_VAL + NUM_TEST, dtype=bool)]),
        "label": labels,
        "logits": pa.ListArray.from_arrays(offsets, logits.reshape(-1), type=kind),
    }
    return pa.table(columns, schema=SCHEMAS["predictions"])


def write(folder: Path, runs: list[Run], models: int) -> None:
    """Each run its row; the first `models` runs their own predictions, the others a link to the first."""
    for table in ("runs", "predictions"):
        (folder / "results" / table).mkdir(parents=True, exist_ok=True)
    for number, run in enumerate(runs):
        rng = np.random.default_rng(run["seed"])
        forgotten = rng.permutation(NUM_TRAIN) < run["forget_rate"] * NUM_TRAIN
        row = run | {"num_forget": int(forgotten.sum()), "num_retain": int((~forgotten).sum())}
        rows, file = (folder / "results" / table / f"{run['job_key']}.parquet" for table in ("runs", "predictions"))
        pq.write_table(pa.Table.from_pylist([row], schema=SCHEMAS["runs"]), rows)
        if number < models:
            pq.write_table(predictions(run, forgotten, np.random.default_rng(number)), file, compression="zstd")
        else:
            os.link(folder / "results/predictions" / f"{runs[0]['job_key']}.parquet", file)


def took(*words: object) -> None:
    """Run a command of `salun-analysis` and print its seconds and its peak memory."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "salun_grid.analysis", *map(str, words)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    peak = used.ru_maxrss / 2**20  # the largest of the commands so far
    print(f"{' '.join(map(str, words))}: {seconds:.1f} s, {cpu:.1f} s of CPU, peak {peak:.2f} GiB", flush=True)


def main(folder: Path) -> None:
    methods = ("retrain", "retrain-again", "original", "salun")
    few, many = folder / "few", folder / "many"
    if not few.exists():
        write(few, make_grid(rates=(0.5,), seeds=tuple(range(25)), methods=methods), models=100)
    took("metrics", few, "--metric", "auc_rmia")
    took("metrics", few)
    if not many.exists():
        datasets = tuple(f"set{i}" for i in range(25))
        augmentations = ("none", "default", "default+ra", "other")
        grid = make_grid(datasets, (0.1, 0.3, 0.5, 0.7, 0.9), augmentations, tuple(range(5)), methods)
        write(many, grid, models=1)
    for command in ("tables", "verdicts"):
        took(command, many, "--format", "csv")
    took("tables", many)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
