"""The forget rule `ids:FILE`: the images of a list."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from salun_grid.records.errors import InputError, shown
from salun_grid.records.id_list import IdList, read_id_list
from salun_grid.trainables.data import names_of
from salun_grid.trainables.dataset import DatasetInfo
from salun_grid.trainables.forget.by_group import images_of_groups
from salun_grid.trainables.forget.fixed import Fixed, requested
from salun_grid.trainables.forget.rules import Rule

MAX_NAME = 32  # characters of the file's name in a label


@dataclass(frozen=True)
class Ids(Rule):
    """The train images of a CSV file with a column `id`, `index` (from 0) or `group`, for any seed.

    The identity of the forget set is the images: neither the file's path and order, nor the column. The label has the
    file's name and a hash of the images: ids:request#1a2b3c4d. The data needs {train,val,test}_ids for the column `id`,
    {train,val,test}_groups for `group`.
    """

    path: str

    example: ClassVar[str] = "ids:request.csv"
    needs_labels: ClassVar[bool] = False

    @classmethod
    def parse(cls, parameter: str) -> Self:
        if not parameter.strip() or not parameter.isprintable():
            raise InputError(f"the forget set ids:FILE needs a CSV file, as in {cls.example}, not {shown(parameter)}.")
        return cls(parameter)

    @property
    def written(self) -> str:
        return f"ids:{self.path}"

    @property
    def public(self) -> str:
        return self.written

    def on(self, data: DatasetInfo) -> Fixed:
        found = read_id_list(Path(self.path))
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(self.path).stem)[:MAX_NAME]
        return requested("ids", name, BY_COLUMN[found.column](found, data, self.path), data, self.written)


def _by_id(found: IdList, data: DatasetInfo, path: str) -> np.ndarray:
    ids = names_of(data, "ids")
    if not ids:
        raise InputError(
            f"{path} names images by id, and {data.source} has no ids; give a column index, or an .npz file with the "
            "arrays train_ids, val_ids and test_ids."
        )
    wanted = np.array(found.entries)
    for split in ("test", "val"):
        held_out = wanted[np.isin(wanted, ids[split])]
        if len(held_out):
            raise InputError(
                f"{len(held_out)} of {len(wanted)} ids in {path} are in the {split} split of {data.source} "
                f"({shown(str(held_out[0]))}), which no model trains on; remove them."
            )
    unknown = wanted[~np.isin(wanted, ids["train"])]
    if len(unknown):
        raise InputError(
            f"{len(unknown)} of {len(wanted)} ids in {path} are not in {data.source} ({shown(str(unknown[0]))}); "
            "remove or correct them."
        )
    return np.flatnonzero(np.isin(ids["train"], wanted))


def _by_index(found: IdList, data: DatasetInfo, path: str) -> np.ndarray:
    num_train = data.num_images["train"]
    for entry in found.entries:
        if not (entry.isascii() and entry.isdigit() and len(entry) < 12 and int(entry) < num_train):
            raise InputError(f"{path}: an index must be from 0 to {num_train - 1}, not {shown(entry)}.")
    return np.array([int(entry) for entry in found.entries])


def _by_group(found: IdList, data: DatasetInfo, path: str) -> np.ndarray:
    return images_of_groups(found.entries, data, f"ids:{path}")


BY_COLUMN = {"id": _by_id, "index": _by_index, "group": _by_group}
