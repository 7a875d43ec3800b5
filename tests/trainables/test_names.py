"""Ids, groups and class names of a dataset file: what is read and when, and what every bad one says."""

from pathlib import Path

import numpy as np
import pytest

from salun_grid.grid.plan import make_plan
from salun_grid.records import npz_names
from salun_grid.records.errors import InputError
from salun_grid.trainables.data import SPLITS, describe, load, names_of, train_labels
from tests.support.forgetting import CLASS_NAMES, COUNTS, grouped_arrays, write_everything, write_grouped_npz
from tests.support.small_data import write_small_npz
from tests.support.studies import small_study


def test_names_are_read_as_they_are(tmp_path):
    path, arrays = write_grouped_npz(tmp_path / "a.npz"), grouped_arrays()
    info = describe(str(path), 0)
    data = load(info)
    assert info.class_names == CLASS_NAMES
    for split in SPLITS:
        for kind in ("ids", "groups"):
            assert data.names[kind][split].tolist() == arrays[f"{split}_{kind}"].tolist()
            assert names_of(info, kind)[split].tolist() == arrays[f"{split}_{kind}"].tolist()
    assert data.train.groups.tolist() == arrays["train_groups"].tolist()
    assert train_labels(info).tolist() == data.labels["train"].tolist()


@pytest.mark.parametrize("source", ["digits", "file"])
def test_data_without_names_has_none(tmp_path, source):
    info = describe(source if source == "digits" else str(write_small_npz(tmp_path / "a.npz")), 0)
    data = load(info)
    assert info.class_names == () and data.names == {"ids": {}, "groups": {}} and data.train.groups is None
    assert train_labels(info).tolist() == data.labels["train"].tolist()


def test_the_fingerprint_is_that_of_the_file_so_files_without_names_keep_theirs(tmp_path):
    import hashlib

    path = write_small_npz(tmp_path / "a.npz")
    assert describe(str(path), 0).fingerprint == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


READ = {
    "random:0.1": {"class_names"},
    "class:1": {"class_names"},
    "group:0.2": {"class_names", *(f"{split}_groups" for split in SPLITS)},
    "group:p3": {"class_names", *(f"{split}_groups" for split in SPLITS)},
    "ids:by_id.csv": {"class_names", *(f"{split}_ids" for split in SPLITS)},
    "ids:by_index.csv": {"class_names"},
}


@pytest.mark.parametrize("text", READ)
def test_planning_reads_only_the_texts_that_the_rule_needs(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    write_everything(tmp_path, describe(str(write_grouped_npz(tmp_path / "grouped.npz")), 0).fingerprint)
    read: set[str] = set()
    member = npz_names.member

    def watched(path: Path, file: object, name: str) -> np.ndarray:
        read.add(name)
        return member(path, file, name)

    monkeypatch.setattr(npz_names, "member", watched)
    make_plan(small_study(tmp_path / "grouped.npz", forget_sets=(text,), seeds=(0, 1)))
    assert read == READ[text]


def test_counting_groups_reads_the_file_once_however_many_jobs(tmp_path, monkeypatch):
    path, calls = write_grouped_npz(tmp_path / "grouped.npz"), []
    plan = make_plan(small_study(path, forget_sets=("group:0.2",), seeds=(0, 1, 2)))
    monkeypatch.setattr(npz_names, "read_names", lambda *args: calls.append(args))
    assert all(job.work.passed_images >= 0 for job in plan.jobs.values()) and not calls


def texts(count: int, last: str = "z") -> np.ndarray:
    return np.array([*(f"{i}" for i in range(count - 1)), last])


BAD = {
    "numbers": ({"train_ids": np.arange(60)}, r"train_ids must be 60 texts \(dtype U\), not int64"),
    "bytes": ({"val_groups": np.array([b"x"] * 20)}, "val_groups must be 20 texts"),
    "objects": ({"train_ids": np.array(["x"] * 60, dtype=object)}, "pickled Python objects"),
    "too few": ({"test_groups": texts(23)}, r"test_groups must be 24 texts \(dtype U\), not <U2 \(23,\)"),
    "table": ({"train_ids": texts(60)[:, None]}, "train_ids must be 60 texts"),
    "some splits": ({"val_ids": None}, "has train_ids but no val_ids; give ids for all of train, val and test"),
    "wide": ({"train_ids": texts(60, "x" * 300)}, "has texts of 300 characters; at most 256 fit"),
    "class count": ({"class_names": np.array(["a", "b"])}, "class_names must be 3 texts"),
    "same class": ({"class_names": np.array(["a", "b", "a"])}, "'a' is there 2 times among the class_names"),
}
BAD_CONTENT = {
    "empty id": ({"val_ids": texts(20, "")}, "entry 19 of val_ids is empty"),
    "shared id": ({"test_ids": texts(24, "train-007")}, "'train-007' is there 2 times among the ids"),
    "empty group": ({"train_groups": texts(60, "")}, "entry 59 of train_groups is empty"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_headers_are_refused_when_the_study_is_planned(tmp_path, case):
    changes, because = BAD[case]
    path = write_grouped_npz(tmp_path / "a.npz", **changes)
    with pytest.raises(InputError, match=because) as error:
        describe(str(path), 0)
    assert str(path) in str(error.value) and str(error.value).isprintable()


@pytest.mark.parametrize("case", BAD_CONTENT)
def test_bad_texts_are_refused_when_they_are_read(tmp_path, case):
    changes, because = BAD_CONTENT[case]
    info = describe(str(write_grouped_npz(tmp_path / "a.npz", **changes)), 0)
    with pytest.raises(InputError, match=because):
        load(info)
    assert sum(COUNTS.values()) == sum(info.num_images.values())
