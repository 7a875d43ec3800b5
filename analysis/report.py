"""One self-contained HTML page: the verdict first, then everything behind it."""

import html
import shlex
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from salun_grid.analysis import figures, page
from salun_grid.analysis.catalogue import HEADLINE, NON_MEMBERS, Case
from salun_grid.analysis.completeness import Progress, progress, remarks
from salun_grid.analysis.curves import Curve, roc_figure
from salun_grid.analysis.evidence import Measured, cases, measured
from salun_grid.analysis.gaps import FLOORS, Summary, labelling, summarise
from salun_grid.analysis.measures import tables_of
from salun_grid.analysis.metric_table import metric_table
from salun_grid.analysis.paper import paper_table
from salun_grid.analysis.results import Run, has_landed
from salun_grid.analysis.roc import roc_curve
from salun_grid.analysis.sections import closest, gap_sections, limited, training_section
from salun_grid.analysis.tables import Table, make_tables, provenance_of, verdict_table
from salun_grid.analysis.verdicts import MARGIN_POINTS, judge, overall
from salun_grid.analysis.worst import Recogniser, train_images
from salun_grid.records.errors import UndefinedError
from salun_grid.records.forget_label import forget_name
from salun_grid.records.text import printable

ROC_ATTACKS = ("loss", "rmia")
NUM_PICTURES = 8
RUN_COLUMNS = ("Dataset", "Augmentation", "Method", "Forget", "Seed", "Device", "Workers", "Versions", "Finished")


@dataclass
class Evidence:
    """What one pass over the predictions gathers."""

    values: list[Measured] = field(default_factory=list)
    curves: dict[str, dict[tuple[str, str, str], list[Curve]]] = field(default_factory=dict)
    recogniser: Recogniser = field(default_factory=Recogniser)


def report_html(folder: str, runs: list[Run], margin: float = MARGIN_POINTS, images: Sequence[Path] = ()) -> str:
    """The page of a folder's `runs`, of which a study that has only begun has none.

    `images` are .npz files in which to look for the worst forgotten images.

    Raises InputError where predictions are there in part only, or a file of `images` cannot be read.
    """
    states = progress(folder, runs)
    title = f"Unlearning results: {', '.join(sorted({run['study'] for run in runs} or {p.study for p in states}))}"
    parts = [f"<h1>{html.escape(title)}</h1>", *_partial(folder, states)]
    if not runs:
        return page.document(title, [*parts, page.paragraph("There is no verdict yet."), *training_section(folder)])
    summaries = summarise(runs)
    flaws, provenance = remarks(runs, margin), provenance_of(runs)
    verdicts = judge(summaries, margin)
    lines = overall(verdicts) or ["No method beside retraining and the floors is here: nothing to judge."]
    parts += [
        f'<div class="lead">{"".join(map(page.paragraph, lines))}</div>',
        *([page.paragraph(flaws)] if flaws else []),
    ]
    parts += ["<h2>Verdicts</h2>", page.table_html(verdict_table(verdicts, provenance, flaws), tuple(FLOORS))]
    for table in make_tables(summaries, provenance, flaws):
        parts += [f"<h2>{html.escape(table.title)}</h2>", page.table_html(table, tuple(FLOORS))]
    if has_landed(folder, "measures"):
        for table in tables_of(folder):
            parts += [f"<h2>{html.escape(table.title)}</h2>", page.table_html(table, tuple(FLOORS))]
    ours = paper_table(summaries)
    parts += [f"<h2>{html.escape(ours.title)}</h2>", page.table_html(ours)]
    parts += gap_sections(summaries, margin)
    parts += training_section(folder, summaries)
    parts += _privacy(folder, runs, summaries, provenance, images)
    every = _every_row(runs)
    parts += ["<h2>Every row</h2><details><summary>Command, hardware and versions of each row</summary>"]
    parts += [page.table_html(every), "</details>"]
    return page.document(title, parts)


def _partial(folder: str, states: list[Progress]) -> list[str]:
    """A sentence for each study of the folder that is not finished."""
    return [
        page.paragraph(
            f"Partial: {p.done} of {p.total} evaluated models of {p.study} are done. This page describes these "
            f"alone; `{p.command} --out {shlex.quote(printable(folder))}` resumes it."
        )
        for p in states
        if p.done < p.total
    ]


def _privacy(
    folder: str, runs: list[Run], summaries: list[Summary], provenance: str, images: Sequence[Path]
) -> list[str]:
    """Metrics from predictions, ROC curves and the worst images; a sentence where no predictions are there at all."""
    if not has_landed(folder, "predictions"):
        return [page.paragraph("No metrics from predictions: this folder holds none; copy results/predictions too.")]
    evidence = gather(folder, runs)
    table = metric_table(evidence.values, runs, summaries, HEADLINE, provenance)
    parts = ["<h2>Metrics from predictions</h2>", page.table_html(table, tuple(FLOORS)), "<h2>ROC curves</h2>"]
    methods = closest(summaries)
    caption = (
        f"Attacks on the forgotten images against the {NON_MEMBERS} split; mean TPR over the seeds that the attack can "
        "score, down to the smallest FPR that the non-members resolve. The target is the retrain's curve; dotted: "
        f"chance. {limited(summaries)}"
    )
    for place, own in evidence.curves.items():
        drawing = roc_figure(own, methods)
        parts += [f"<h3>{html.escape(place)}</h3>", page.figure_html(drawing, f"ROC curves, {place}", caption)]
    return parts + _pictures(evidence.recogniser, images, methods)


def gather(folder: str, runs: list[Run]) -> Evidence:
    """One pass over all predictions: headline metrics, ROC curves by place and cell, excess of each image."""
    label = labelling(runs)
    found = Evidence()
    for run, case in cases(folder, runs, HEADLINE):
        found.values += measured(run, case, HEADLINE)
        if not case.model.finite:
            continue
        group, method = label(run)
        found.recogniser.add(run, case, group.protocol, method)
        own = found.curves.setdefault(figures.place_name(group), defaultdict(list))
        for attack, curve in _curves(case).items():
            cell = f"{group.augmentation}, {forget_name(group.forget)}"
            own[cell, attack, method].append(curve)
    return found


def _curves(case: Case) -> dict[str, Curve]:
    """ROC curves of the attacks that this case allows."""
    found = {}
    for attack in ROC_ATTACKS:
        try:
            found[attack] = roc_curve(*case.scores(attack))
        except UndefinedError:
            continue
    return found


def _pictures(recogniser: Recogniser, images: Sequence[Path], shown: Sequence[str]) -> list[str]:
    """The forgotten images of which each method in `shown` stays surest, compared with the retrain."""
    parts = ["<h2>Forgotten images that stay most recognisable</h2>"]
    parts += [
        page.paragraph(
            "How much surer of the true class a model is than the retrain of its cell: difference of log(p / (1 − p)), "
            "mean over the n models that were to forget the image. What retrain-again shows is chance."
        )
    ]

    @cache  # the file may hold gigabytes; it is the same for all methods
    def pixels_of(fingerprint: str, dataset: str, image_size: int) -> np.ndarray | None:
        return train_images(fingerprint, dataset, image_size, images)

    for (fingerprint, dataset, size, protocol, method), worst in recogniser.worst(NUM_PICTURES).items():
        if method not in shown:
            continue
        pixels = pixels_of(fingerprint, dataset, size)
        parts += [f"<h3>{html.escape(f'{dataset} {size} px, {protocol}, {method}')}</h3>"]
        captions = [f"{w.excess:+.1f}, train {w.index}, class {w.label}, n = {w.n}" for w in worst]
        if pixels is None:
            parts += [page.paragraph(f"{'; '.join(captions)}. The pixels are not at hand: give the file by --images.")]
        else:
            pictures = [page.picture_html(pixels[w.index], text) for w, text in zip(worst, captions, strict=True)]
            parts += [f'<div class="pictures">{"".join(pictures)}</div>']
    return parts


def _every_row(runs: list[Run]) -> Table:
    rows = [
        [
            f"{run['dataset']} {run['image_size']}px, {run['protocol']}",
            run["augmentation"],
            run["method"],
            forget_name(run["forget"]),
            str(run["seed"]),
            run["device_name"],
            str(run["num_workers"]),
            f"salun-grid {run['code_version']}, torch {run['torch_version']}, ray {run['ray_version']}",
            f"{run['finished_at']:%Y-%m-%d %H:%M} UTC",
            run["command"],
        ]
        for run in runs
    ]
    return Table("Every row", rows, "", (*RUN_COLUMNS, "Command"))
