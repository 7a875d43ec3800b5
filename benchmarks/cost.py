"""`python -m benchmarks.cost DIR...`: the held-out error of the cost model on folders with published rows.

Each line fits the rates without some jobs and predicts those: a random tenth at a time, or all jobs of one width,
image size, augmentation or shape (these three and the batch size). The last column is the median error of a simpler
model on the same rows: the median seconds per GMAC.
"""

import sys
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from salun_grid.analysis.results import read_runs
from salun_grid.grid.fit import Measurement, Work, held_out, random_groups
from salun_grid.grid.measured import measurements
from salun_grid.records.errors import InputError

WITHIN = 0.2
HEADER = (
    "held out",
    "jobs",
    "median error",
    f"within {WITHIN:.0%}",
    "worst",
    "all predicted / all measured",
    "by seconds per GMAC",
)

# Groups of jobs to hold out together, by name.
AXES: dict[str, Callable[[Work], Hashable]] = {
    "width": lambda work: work.width,
    "image size": lambda work: work.image_size,
    "augmentation": lambda work: work.augmentation,
    "shape": lambda work: (work.image_size, work.width, work.augmentation, work.batch_size),
}


def by_median_rate(rows: Sequence[Measurement], groups: Sequence[Hashable]) -> np.ndarray:
    """As `held_out` with one rate, the median seconds per GMAC; a forward pass counts as a third of a training step."""
    gmacs = np.array([(row.work.train_images + row.work.eval_images / 3) * row.work.gmac for row in rows])
    rates = np.array([row.seconds for row in rows]) / gmacs
    held = np.array([[own == group for own in groups] for group in groups])
    return np.array([np.median(rates[~out]) for out in held]) / rates


def lines_of(rows: Sequence[Measurement]) -> list[tuple[str, ...]]:
    """The lines of the table for one device and kind of work."""
    drawn = random_groups(len(rows))
    lines = [line("random jobs", rows, held_out(rows, drawn), by_median_rate(rows, drawn))]
    for name, of in AXES.items():
        groups = [of(row.work) for row in rows]
        if len(set(groups)) == 1:
            continue
        ratios, simple = held_out(rows, groups), by_median_rate(rows, groups)
        if name != "shape":
            for group in sorted(set(groups), key=str):
                chosen = [own == group for own in groups]
                part = [row for row, own in zip(rows, chosen, strict=True) if own]
                lines += [line(f"{name} {group}", part, ratios[chosen], simple[chosen])]
        lines += [line(f"each {name} in turn", rows, ratios, simple)]
    return lines


def line(name: str, rows: Sequence[Measurement], ratios: np.ndarray, simple: np.ndarray) -> tuple[str, ...]:
    """One line; `ratios` are predicted / measured seconds per row, `simple` the same for the simpler model."""
    errors, seconds = np.abs(ratios - 1), np.array([row.seconds for row in rows])
    return (
        name,
        str(len(rows)),
        f"{np.median(errors):.1%}",
        f"{np.mean(errors <= WITHIN):.0%}",
        f"{errors.max():.0%}",
        f"{(ratios * seconds).sum() / seconds.sum():.3f}",
        f"{np.median(np.abs(simple - 1)):.1%}",
    )


def main(folders: Sequence[str]) -> None:
    """Print a table for each device and kind of work."""
    rows = [row for row in measurements(folders, {}) if row.seconds > 0]
    versions = {name: sorted({run[name] for folder in folders for run in read_runs(folder)})
                for name in ("torch_version", "ray_version", "code_version")}  # fmt: skip
    print("; ".join(f"{name.removesuffix('_version')} {', '.join(found)}" for name, found in versions.items()))
    for device, kind in sorted({(row.device, row.work.kind) for row in rows}, key=str):
        own = [row for row in rows if (row.device, row.work.kind) == (device, kind)]
        seconds = np.array([row.seconds for row in own])
        print(f"\n{device}, {kind}: {len(own)} jobs of {seconds.min():.2g} to {seconds.max():.2g} device-seconds\n")
        for cells in (HEADER, ("---",) * len(HEADER), *lines_of(own)):
            print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit("usage: python -m benchmarks.cost DIR...")
    try:
        main(sys.argv[1:])
    except InputError as error:
        sys.exit(str(error))
