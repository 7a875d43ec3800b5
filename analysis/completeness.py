"""Limits of a folder's rows: missing, duplicate or NaN values, few images, models at chance."""

import math
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from salun_grid.analysis.cells import Cell, Group
from salun_grid.analysis.gaps import PAPER_METRICS
from salun_grid.analysis.rows import Run
from salun_grid.records import storage
from salun_grid.records.errors import InputError, ResultsWarning
from salun_grid.records.forget_label import forget_name
from salun_grid.records.question import Question
from salun_grid.records.studies import read_studies
from salun_grid.records.text import printable

MOST_NAMED = 40
# Always predicting the most frequent class of an unbalanced test split is no better than chance, and gets this far.
CHANCE_PART = 0.1


@dataclass(frozen=True)
class Progress:
    """The progress of a study of the folder: rows published, rows in total, and the command that resumes it."""

    study: str
    done: int
    total: int
    command: str


def checked(runs: list[Run]) -> list[Run]:
    """`runs` itself. Raises InputError if it is empty or holds a job twice."""
    if not runs:
        raise InputError("the files of results/runs hold no row; copy the folder again.")
    key, count = Counter(run["job_key"] for run in runs).most_common(1)[0]
    if count > 1:
        run = next(run for run in runs if run["job_key"] == key)
        name = name_of(run["method"], run["dataset"], run["image_size"], run["augmentation"], run["forget"])
        raise InputError(
            f"results/runs holds job {key} ({name}, seed {run['seed']}) {count} times; delete the copies: "
            f"the grid writes each job once, as {key}.parquet."
        )
    return runs


def name_of(method: str, dataset: str, image_size: int, augmentation: str, forget: str) -> str:
    """A cell's name without its seed: method, dataset, augmentation, forget set."""
    return f"{method}, {dataset} {image_size}px, {augmentation}, forgetting {forget_name(forget)}"


def _name(cell: Cell) -> str:
    group = cell.group
    return name_of(cell.method, group.dataset, group.image_size, group.augmentation, group.forget)


def missing_cells(cells: Iterable[Cell]) -> list[str]:
    """Missing combinations of the values in the folder, grouped by seeds: `salun, …: seeds 1, 2`.

    The axes are taken from the rows of one dataset, size, model and protocol; variants of a method count separately. A
    value that no row has is not noticed.
    """
    rows_of: dict[Group, set[tuple]] = defaultdict(set)
    for cell in cells:
        shared = cell.group._replace(augmentation="", forget="")
        rows_of[shared].add((cell.method, cell.group.augmentation, cell.group.forget, cell.run["seed"]))
    absent: dict[str, list[int]] = defaultdict(list)
    for shared, found in rows_of.items():
        axes = [sorted(set(axis)) for axis in zip(*found, strict=True)]
        for combination in product(*axes):
            if combination not in found:
                method, augmentation, forget, seed = combination
                absent[name_of(method, shared.dataset, shared.image_size, augmentation, forget)].append(seed)
    return [f"{name}: {_seeds(seeds)}" for name, seeds in absent.items()]


def _seeds(seeds: list[int]) -> str:
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def nan_metrics(cells: Iterable[Cell]) -> list[str]:
    """Each metric that is NaN or infinite: `mia of salun, …, seed 1`."""
    columns = (*PAPER_METRICS, "seconds_total")
    return [
        f"{column} of {_name(cell)}, seed {cell.run['seed']}"
        for cell in cells
        for column in columns
        if not math.isfinite(cell.run[column])
    ]


def coarse_metrics(cells: Iterable[Cell], margin: float) -> list[str]:
    """Cells in which a single image changes a metric by more than the margin: `UA and MIA by 16.7 (6 images), …`."""
    found: dict[str, None] = {}
    for cell in cells:
        group = cell.group
        for metrics, images in (("UA and MIA", cell.run["num_forget"]), ("RA", cell.run["num_retain"])):
            if images and 100 / images > margin:
                name = f"{group.dataset} {group.image_size}px, forgetting {forget_name(group.forget)}"
                found[f"{metrics} by {100 / images:.1f} ({images} images), {name}"] = None
    return list(found)


def at_chance(cells: Iterable[Cell]) -> list[str]:
    """Cells with models whose TA is near chance, grouped by seeds: `salun, …: seeds 0, 1`."""
    found: dict[str, list[int]] = defaultdict(list)
    for cell in cells:
        chance = 100 / cell.run["num_classes"]
        if cell.run["ta"] < chance + CHANCE_PART * (100 - chance):
            found[_name(cell)].append(cell.run["seed"])
    return [f"{name}: {_seeds(seeds)}" for name, seeds in found.items()]


def collapsed(cells: Iterable[Cell]) -> list[str]:
    """The note of each row whose method collapsed, with its cell: `salun, …, seed 1: salun collapsed: …`."""
    return [
        f"{_name(cell)}, seed {cell.run['seed']}: {cell.run['note'].removesuffix('.')}"
        for cell in cells
        if cell.run["note"]
    ]


def remarks(cells: Sequence[Cell], margin: float = Question.margin_points) -> str:
    """One sentence per kind of flaw, empty without any. `margin` is in percentage points."""
    flaws = {
        "Missing": missing_cells(cells),
        "Not a number": nan_metrics(cells),
        f"A single image moves a metric by more than the margin of ±{margin:g}": coarse_metrics(cells, margin),
        f"At chance (TA less than {CHANCE_PART:.0%} of the way from 1 / classes to 100 %)": at_chance(cells),
        "Collapsed": collapsed(cells),
    }
    return " ".join(f"{word}: {_first(found)}." for word, found in flaws.items() if found)


def _first(names: list[str]) -> str:
    more = f"; and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return "; ".join(names[:MOST_NAMED]) + more


def progress(folder: str, runs: Iterable[Run]) -> list[Progress]:
    """The progress of each study started in the folder; empty if only results/ was copied."""
    published = {run["job_key"] for run in runs}
    studies, damaged = read_studies(storage.find(folder))
    for path in damaged:
        warnings.warn(f"{path} is damaged, so its study is left out", ResultsWarning, stacklevel=2)
    return [
        Progress(printable(study.name), len(study.rows & published), len(study.rows), printable(study.command))
        for study in studies
    ]
