"""Datasets that need no download: name and reader, which returns fingerprint, images and labels by split."""

from collections.abc import Callable

from salun_grid.records.blood_cells import read_blood_cells
from salun_grid.records.digits import read_digits
from salun_grid.records.npz import Arrays

BUILT_IN: dict[str, Callable[[], tuple[str, Arrays, Arrays]]] = {
    "blood_cells": read_blood_cells,
    "digits": read_digits,
}
