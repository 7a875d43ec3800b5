"""The forget rule `group`: whole groups of train images, such as all images of a patient."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from salun_grid.records.errors import InputError, shown
from salun_grid.records.npz_names import Names
from salun_grid.trainables.data import names_of
from salun_grid.trainables.dataset import DatasetInfo, TrainImages
from salun_grid.trainables.forget.fixed import Fixed, requested
from salun_grid.trainables.forget.random import forget_count
from salun_grid.trainables.forget.rules import DirectRule, Rule
from salun_grid.trainables.seeds import derived_seed


@dataclass(frozen=True)
class GroupShare(DirectRule):
    """group:RATE, a uniform draw of round(rate · G) of the G groups of train, with all their images.

    group:ID or group:ID,ID2 forgets the named groups, for any seed. A parameter between 0 and 1 is a rate. The data
    needs the arrays {train,val,test}_groups. A drawn set is a prefix of one permutation of the sorted groups per seed.
    The label of named groups has their number and a hash of the images, and never an id: group:2#1a2b3c4d.
    """

    share: float

    example: ClassVar[str] = "group:0.1"
    seeded: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = False

    @classmethod
    def parse(cls, parameter: str) -> Rule:
        try:
            share = float(parameter)
        except ValueError:
            share = 0.0
        return cls(share) if 0 < share < 1 else NamedGroups.parse(parameter)

    @property
    def label(self) -> str:
        return f"group:{self.share!r}"

    def count(self, data: DatasetInfo, seed: int) -> int:
        return int(_num_images(data.source, data.fingerprint)[self._drawn(_num_groups(data), seed)].sum())

    def same_on(self, data: DatasetInfo) -> Hashable:
        return forget_count(self.share, _num_groups(data), "groups")

    def indices(self, train: TrainImages, seed: int) -> np.ndarray:
        if train.groups is None:
            raise InputError(f"the forget set {self.label} needs groups, and this data has none.")
        names, group_of = np.unique(train.groups, return_inverse=True)
        return np.flatnonzero(np.isin(group_of, self._drawn(len(names), seed)))

    def on(self, data: DatasetInfo) -> "GroupShare":
        _groups_of(data, self.label)
        return self

    def _drawn(self, num_groups: int, seed: int) -> np.ndarray:
        """Places of the drawn groups in the sorted order of all."""
        order = np.random.default_rng(derived_seed(seed, "forget", "groups")).permutation(num_groups)
        return order[: forget_count(self.share, num_groups, "groups")]


@dataclass(frozen=True)
class NamedGroups(Rule):
    """Named groups of train, with all their images."""

    groups: tuple[str, ...]

    example: ClassVar[str] = "group:ID"
    needs_labels: ClassVar[bool] = False

    @classmethod
    def parse(cls, parameter: str) -> Rule:
        names = parameter.split(",")
        if not all(names) or not parameter.isprintable():
            raise InputError(
                f"the forget set group needs a rate between 0 and 1 or ids of groups, as in {GroupShare.example} or "
                f"group:ID,ID2, not {shown(parameter)}."
            )
        return cls(tuple(dict.fromkeys(names)))

    @property
    def written(self) -> str:
        return f"group:{','.join(self.groups)}"

    @property
    def public(self) -> str:
        return f"group:{','.join(['ID'] * len(self.groups))}"

    def on(self, data: DatasetInfo) -> Fixed:
        chosen = images_of_groups(self.groups, data, self.public)
        return requested("group", str(len(self.groups)), chosen, data, self.public)


def images_of_groups(names: Iterable[str], data: DatasetInfo, public: str) -> np.ndarray:
    """Train indices of all images of the named groups. Raises InputError for a group without a train image."""
    groups, wanted = _groups_of(data, public), np.array(list(names))
    unknown = wanted[~np.isin(wanted, groups["train"])]
    if len(unknown):
        where = next((split for split in ("test", "val") if unknown[0] in groups[split]), None)
        raise InputError(
            f"{len(unknown)} of {len(wanted)} groups of the forget set {public} have no train image in {data.source} "
            f"({shown(str(unknown[0]))} {f'is in the {where} split' if where else 'is not there'}); remove them."
        )
    return np.flatnonzero(np.isin(groups["train"], wanted))


def _groups_of(data: DatasetInfo, public: str) -> Names:
    groups = names_of(data, "groups")
    if not groups:
        raise InputError(
            f"the forget set {public} needs groups, and {data.source} has none; give an .npz file with the arrays "
            "train_groups, val_groups and test_groups."
        )
    return groups


def _num_groups(data: DatasetInfo) -> int:
    return len(_num_images(data.source, data.fingerprint))


@lru_cache(maxsize=8)
def _num_images(source: str, fingerprint: str) -> np.ndarray:
    """Train images of each group, in the sorted order of the groups; cached, since each spec asks for its count."""
    info = DatasetInfo("", source, fingerprint, 0, 0, 0, {})
    return np.unique(names_of(info, "groups")["train"], return_counts=True)[1]
