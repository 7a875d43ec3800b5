"""Small pictures, folders of them, and calls of `salun-grid data`."""

from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result
from PIL import Image

from salun_grid.grid.cli import main

Array = np.ndarray


def salun_grid_data(*words: object) -> Result:
    return CliRunner().invoke(main, ["data", *map(str, words)])


def noise(seed: int, *shape: int, high: int = 256, dtype: type = np.uint8) -> Array:
    return np.random.default_rng(seed).integers(0, high, shape or (16, 16, 3)).astype(dtype)


def write_picture(path: Path, seed: int = 0, size: int = 16) -> Path:
    """A colour picture of its own for each seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(seed, size, size, 3)).save(path)
    return path


def write_classes(root: Path, counts: dict[str, int], ending: str = ".png") -> Path:
    """A folder per class with as many different pictures as `counts` says."""
    seeds = iter(range(10_000))
    for name, count in counts.items():
        for i in range(count):
            write_picture(root / name / f"{i}{ending}", next(seeds))
    return root


def arrays_of(path: Path) -> dict[str, Array]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def write_table(path: Path, rows: list[str], header: str = "image,label,patient") -> Path:
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return path
