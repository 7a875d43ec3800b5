"""`python -m benchmarks.groups --data FILE.npz --out DIR`: forgetting images of groups against forgetting groups.

The first train images of FILE become patients: each stands for SLICES similar images, made by small shifts, rotations
and noise, as neighbouring slices of a volume are. A study forgets a fraction of the images (`random`) and the same
fraction of the patients (`group`). The command writes docs/groups.md; rerunning it resumes the study.
"""

import subprocess
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import numpy as np
from scipy import ndimage

from salun_grid.analysis.cells import cells_of
from salun_grid.analysis.evidence import Reader, measure
from salun_grid.analysis.results import read_runs
from salun_grid.records.npz import SPLITS, Arrays, read_npz

DOCS = Path(__file__).parents[1] / "docs"
PATIENTS, SLICES = 120, 8
SHIFT, DEGREES, NOISE = 1.0, 4.0, 4.0  # standard deviations: pixels, degrees, grey levels of 255
RATE = 0.2
SEEDS = range(5)
METHODS = ("retrain", "retrain-again", "original")
SETTINGS = ("model.stem=imagenet", "model.width=16", "training.epochs=30")

PAGE = """# Forgetting within groups

Images often come in groups of near-duplicates, such as the slices of one volume or the visits of one patient. A random
forget set then takes some images of a group and leaves its others in D_r. The retrained model, which never saw the
forgotten images, still recognises them from the ones that remain, so the untouched model is already close to the
target: such a study cannot show whether a method forgets. A request to delete a patient's data concerns the whole
group, and needs `--forget group:RATE`, `group:ID` or `ids:FILE`.

The table compares both on the same data. {patients} train images of {name} each stand for a patient with {slices}
images, made by random shifts (standard deviation {shift:g} px), rotations ({degrees:g}°) and noise ({noise:g} of 255
grey levels). `random:{rate:g}` forgets {rate:.0%} of the images, `group:{rate:g}` {rate:.0%} of the patients.
`original` is the no-op, `retrain-again` a second retrain with other seeds: its gap is the noise floor. Gaps are to the
retrain of the same seed. Mean ± sample standard deviation over n = {n} seeds; {num_forget} forgotten images on average.

| forget set | model | UA (%) | gap in UA (points) | AUC of the loss attack | gap in AUC |
|---|---|---|---|---|---|
{rows}

{finding}

ResNet-18 of width 16 with the ImageNet stem at {size} px, 30 epochs, no augmentation; non-members are the {num_val}
validation images, each from a patient of its own. `python -m benchmarks.groups --data FILE --out DIR` repeats it.
"""

FINDING = """Forgetting images at random, the no-op differs from the retrain by {0[ua]:.1f} points of UA and
{0[auc]:.3f} of AUC, and two retrains differ by {1[ua]:.1f} and {1[auc]:.3f}. Forgetting patients, the no-op differs by
{2[ua]:.1f} points and {2[auc]:.3f}, and two retrains by {3[ua]:.1f} and {3[auc]:.3f}. The number of forgotten images is
the same; the distance between no-op and retrain, within which a study compares methods, is {ratio:.0f} times as large
in UA. The groups are simulated: real slices or visits differ more, or less, and so will the ratio."""


def with_slices(images: Arrays, labels: Arrays, seed: int = 0) -> dict[str, Any]:
    """The arrays of a dataset file: PATIENTS groups of SLICES train images; each held-out image is its own group."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, np.ndarray] = {}
    for split in SPLITS:
        slices = SLICES if split == "train" else 1
        chosen = slice(PATIENTS if split == "train" else None)
        own = np.repeat(images[split][chosen], slices, axis=0)
        arrays[f"{split}_images"] = np.stack([moved(image, rng) for image in own]) if slices > 1 else own
        arrays[f"{split}_labels"] = np.repeat(labels[split][chosen], slices)
        patients = np.repeat(np.arange(len(own) // slices), slices)
        arrays[f"{split}_groups"] = np.array([f"{split}-{patient:04}" for patient in patients])
        arrays[f"{split}_ids"] = np.array([f"{split}-{i:05}" for i in range(len(own))])
    return {name: a.squeeze(-1) if a.shape[-1] == 1 and a.ndim == 4 else a for name, a in arrays.items()}


def moved(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`image` (H, W, C) uint8, a little rotated and shifted, with noise."""
    turned = ndimage.rotate(image.astype(float), rng.normal(0, DEGREES), reshape=False, order=1, mode="nearest")
    shifted = ndimage.shift(turned, (*rng.normal(0, SHIFT, 2), 0), order=1, mode="nearest")
    return np.clip(np.rint(shifted + rng.normal(0, NOISE, image.shape)), 0, 255).astype(np.uint8)


def run(data: Path, out: Path) -> None:
    """Run the study, or what of it is missing, in processes of their own."""
    words = [sys.executable, "-m", "salun_grid.grid", "run", "digits", "--local", "--quiet", "--dataset", str(data)]
    words += ["--augmentation", "none", "--out", str(out)]
    for option, values in (("--forget", forget_sets()), ("--method", METHODS), ("--seed", SEEDS), ("--set", SETTINGS)):
        words += [word for value in values for word in (option, str(value))]
    subprocess.run(words, check=True)


def forget_sets() -> tuple[str, str]:
    return f"random:{RATE}", f"group:{RATE}"


def page(out: Path, name: str) -> str:
    """The text of docs/groups.md from a finished study."""
    runs = read_runs(out)
    auc = {one.cell.run["job_key"]: one.value for one in measure(str(out), cells_of(runs), ["auc_loss"])}
    values: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
    by_key = {row["job_key"]: row for row in runs}
    for row in sorted(runs, key=lambda row: row["seed"]):
        target = by_key[row["retrain_key"]]
        own, wanted = (np.array([r["ua"], auc[r["job_key"]]]) for r in (row, target))
        values[row["forget"], row["method"]].append(np.stack([own, np.abs(own - wanted)], axis=1).reshape(-1))
    found = {key: np.array(rows) for key, rows in values.items()}
    lines = [
        f"| `{forget}` | {method} | {' | '.join(cells(found[forget, method], method))} |"
        for forget in forget_sets()
        for method in METHODS
    ]
    gaps = [
        {"ua": float(rows[:, 1].mean()), "auc": float(rows[:, 3].mean())}
        for rows in (found[forget, method] for forget in forget_sets() for method in ("original", "retrain-again"))
    ]
    finding = FINDING.format(*gaps, ratio=gaps[2]["ua"] / gaps[0]["ua"])
    text = PAGE.format(
        patients=PATIENTS,
        name=name,
        slices=SLICES,
        shift=SHIFT,
        degrees=DEGREES,
        noise=NOISE,
        rate=RATE,
        n=len(SEEDS),
        num_forget=f"{np.mean([row['num_forget'] for row in runs]):.0f}",
        rows="\n".join(lines),
        finding=finding,
        size=runs[0]["image_size"],
        num_val=num_validation(out),
    )
    return "\n\n".join(block if block.startswith("|") else filled(block) for block in text.split("\n\n")) + "\n"


def filled(paragraph: str) -> str:
    return textwrap.fill(paragraph, 120, break_long_words=False, break_on_hyphens=False)


def num_validation(out: Path) -> int:
    """Validation images of the study."""
    return len(Reader(str(out)).read(read_runs(out)[0]).labels["val"])


def cells(rows: np.ndarray, method: str) -> Iterable[str]:
    """UA, its gap, AUC and its gap as `mean ± sd`; the retrain has no gaps."""
    for place, digits in enumerate((1, 1, 3, 3)):
        mean, sd = rows[:, place].mean(), rows[:, place].std(ddof=1)
        yield "–" if method == "retrain" and place % 2 else f"{mean:.{digits}f} ± {sd:.{digits}f}"


@click.command(help=__doc__)
@click.option("--data", required=True, type=click.Path(path_type=Path, exists=True), help="Dataset file, .npz.")
@click.option("--name", help="Its name in the page.  [default: the file's]")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the data and the results.")
@click.option("--page", "page_file", type=click.Path(path_type=Path), default=DOCS / "groups.md", show_default=True)
def main(data: Path, name: str | None, out: Path, page_file: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    grouped = out / "grouped.npz"
    if not grouped.exists():
        np.savez(grouped, **with_slices(*read_npz(data)))
    run(grouped, out / "results")
    page_file.write_text(page(out / "results", name or data.stem), encoding="utf-8")


if __name__ == "__main__":
    main()
