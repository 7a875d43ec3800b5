"""Measurements for `grid.fit` from the rows of result folders."""

import json
from collections.abc import Iterable
from dataclasses import fields

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from salun_grid.analysis.results import Run, read_runs
from salun_grid.grid.fit import Measurement
from salun_grid.grid.work import row_work
from salun_grid.records import storage
from salun_grid.trainables.methods import METHODS

Counts = dict[str, int]


def measurements(folders: Iterable[str], known: dict[str, Counts]) -> list[Measurement]:
    """Every row once, in an order independent of that of the folders. `known` maps fingerprints to images per split.

    Raises InputError for a folder without rows. `runs` has no sizes of the validation and test splits: if neither
    `known` nor the folder's predictions have them, the row's evaluation time is left out.
    """
    found: dict[tuple, Measurement] = {}
    for folder in folders:
        counts: dict[str, Counts | None] = dict(known)
        for row in read_runs(folder):
            fingerprint = row["dataset_fingerprint"]
            if fingerprint not in counts:
                counts[fingerprint] = predicted_images(folder, row["job_key"])
            found[row["job_key"], row["device_name"], row["finished_at"]] = measurement(row, counts[fingerprint])
    return [found[key] for key in sorted(found)]


def measurement(row: Run, num_images: Counts | None) -> Measurement:
    """The work and the device-seconds of a row; each worker counts as one device."""
    trained = row["num_train_images_seen"] > 0
    devices = row["num_workers"] if trained else 1
    work = row_work(
        json.loads(row["protocol_json"]),
        row["num_classes"],
        row["image_size"],
        json.loads(row["method_params"]),
        row["augmentation"],
        row["num_train_images_seen"],
        row["num_forget"],
        num_images,
        forward_images(row, num_images),
    )
    return Measurement(
        row["device_name"],
        work,
        devices * (row["seconds_mask"] + row["seconds_train"]),
        devices * (row["seconds_load"] + row["seconds_eval"]) if num_images else 0.0,
    )


def forward_images(row: Run, num_images: Counts | None) -> int:
    """Images that passed forward alone in the unlearning of a row, which its columns do not count.

    A method or a setting that this version lacks counts none or as its default, unknown validation images as none.
    """
    if row["method"] not in METHODS:
        return 0
    method, params = METHODS[row["method"]], json.loads(row["method_params"])
    known = {field.name: params[field.name] for field in fields(method.settings) if field.name in params}
    passes = method.passes(method.settings(**known))
    num_validation = num_images["val"] if num_images else 0
    return passes.forward_images(row["num_forget"], row["num_retain"], num_validation)


def predicted_images(folder: str, job_key: str) -> Counts | None:
    """Images per split in the predictions of a row, from one column of one file; None if there is no file."""
    found = storage.find(folder)
    path = found.inside("results", "predictions", f"{job_key}.parquet")
    try:
        splits = pq.read_table(path, columns=["split"], filesystem=found.files)["split"].cast(pa.string())
    except (pa.ArrowInvalid, OSError):
        return None
    return {count["values"]: count["counts"] for count in pc.value_counts(splits).to_pylist()}
