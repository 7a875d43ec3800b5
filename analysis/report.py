"""One self-contained HTML page: verdicts first, then tables, figures, attacks and commands."""

import shlex
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from salun_grid.analysis.attacks import NON_MEMBERS, Case
from salun_grid.analysis.catalogue import headline
from salun_grid.analysis.cells import Cell
from salun_grid.analysis.completeness import Progress, progress, remarks
from salun_grid.analysis.curves import Curve, roc_figure
from salun_grid.analysis.evidence import Measured, cases, measured
from salun_grid.analysis.figures import panel_name
from salun_grid.analysis.gaps import CONTROLS
from salun_grid.analysis.measures import tables_of
from salun_grid.analysis.metric_table import metric_table
from salun_grid.analysis.page import Page, Section, drawing, picture, render
from salun_grid.analysis.paper import paper_table
from salun_grid.analysis.results import has_rows
from salun_grid.analysis.roc import roc_curve
from salun_grid.analysis.rows import Run
from salun_grid.analysis.sections import closest, gap_sections, limited, training_section
from salun_grid.analysis.tables import Table, make_tables
from salun_grid.analysis.verdict_tables import answers, exploratory_table, question_of, verdict_table
from salun_grid.analysis.verdicts import overall
from salun_grid.analysis.view import Results
from salun_grid.analysis.worst import Recogniser, Worst, train_images
from salun_grid.records.errors import UndefinedError
from salun_grid.records.forget_label import RANDOM, forget_name
from salun_grid.records.text import printable

ROC_ATTACKS = ("loss", "rmia")
NUM_PICTURES = 8
RUN_COLUMNS = ("Dataset", "Augmentation", "Method", "Forget", "Seed", "Device", "Workers", "Versions", "Finished")


@dataclass
class Evidence:
    """The results of one pass over the predictions."""

    values: list[Measured] = field(default_factory=list)
    curves: dict[str, dict[tuple[str, str, str], list[Curve]]] = field(default_factory=dict)
    recogniser: Recogniser = field(default_factory=Recogniser)


def report_html(folder: str, results: Results, margin: float | None = None, images: Sequence[Path] = ()) -> str:
    """The page of a folder's `results`, which are empty if the study has only begun.

    `images` are .npz files searched for the worst forgotten images.

    Raises InputError if some predictions are missing, or a file in `images` cannot be read.
    """
    states = progress(folder, results.runs)
    title = f"Unlearning results: {', '.join(results.studies or sorted({p.study for p in states}))}"
    state = _partial(folder, states)
    if not results.cells:
        return render(Page(title, state, [], ["There is no verdict yet."], [training_section(folder)]))
    question = question_of(folder, margin)
    flaws = remarks(results.cells, question.margin_points)
    verdicts, explored = answers(folder, results, question)
    lead = overall(verdicts) or ["There are no methods besides retraining and the controls, so there are no verdicts."]
    shown = closest(results.summaries)
    sections = [
        Section(
            "Verdicts",
            table=verdict_table(verdicts, question, results.provenance, flaws),
            controls=tuple(CONTROLS),
        ),
        *map(_with_table, [exploratory_table(explored, results.provenance)] if explored else []),
        *map(_with_table, make_tables(results.summaries, results.provenance, flaws)),
        *map(_with_table, tables_of(folder) if has_rows(folder, "measures") else []),
        _with_table(paper_table(results.summaries), controls=()),
        *gap_sections(results.summaries, question.margin_points, shown),
        training_section(folder, results.summaries, shown),
        *_privacy(folder, results, images, shown),
        _every_row(results.runs),
    ]
    return render(Page(title, state, lead, [flaws] if flaws else [], sections))


def _with_table(table: Table, controls: Sequence[str] = tuple(CONTROLS)) -> Section:
    return Section(table.title, table=table, controls=controls)


def _partial(folder: str, states: list[Progress]) -> list[str]:
    """A sentence for each unfinished study of the folder."""
    return [
        f"Partial: {p.done} of {p.total} evaluated models of {p.study} are done. This page describes these "
        f"alone; `{p.command} --out {shlex.quote(printable(folder))}` resumes it."
        for p in states
        if p.done < p.total
    ]


def _privacy(folder: str, results: Results, images: Sequence[Path], shown: Sequence[str]) -> list[Section]:
    """Metrics from predictions, ROC curves and the worst images; a sentence where no predictions are there at all."""
    if not has_rows(folder, "predictions"):
        without = "No metrics from predictions: this folder holds none; copy results/predictions too."
        return [Section(paragraphs=[without])]
    shown_metrics = headline(run["forget_rule"] for run in results.runs)
    evidence = gather(folder, results.cells, shown_metrics)
    caption = (
        f"Attacks on the forgotten images against the {NON_MEMBERS} split; mean TPR over the seeds that the attack can "
        "score, down to the smallest FPR that the non-members resolve. The target is the retrain's curve; dotted: "
        f"chance. {limited(results.summaries)}"
    )
    curves = [
        Section(panel, drawings=[drawing(roc_figure(own, shown), f"ROC curves, {panel}", caption)])
        for panel, own in evidence.curves.items()
    ]
    return [
        _with_table(metric_table(evidence.values, results.summaries, shown_metrics, results.provenance)),
        Section("ROC curves", parts=curves),
        _pictures(evidence.recogniser, images, shown),
    ]


def gather(folder: str, cells: Sequence[Cell], metrics: Sequence[str]) -> Evidence:
    """One pass over all predictions: metrics, ROC curves by panel and cell, excess of each image."""
    found = Evidence()
    for cell, case in cases(folder, cells, metrics):
        found.values += measured(cell, case, metrics)
        if not case.model.finite:
            continue
        found.recogniser.add(cell, case)
        own = found.curves.setdefault(panel_name(cell.group), defaultdict(list))
        for attack, curve in _curves(case).items():
            name = f"{cell.group.augmentation}, {forget_name(cell.group.forget)}"
            own[name, attack, cell.method].append(curve)
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


def _pictures(recogniser: Recogniser, images: Sequence[Path], shown: Sequence[str]) -> Section:
    """The forgotten images of which each method in `shown` stays surest, compared with the retrain."""

    @cache  # the file may hold gigabytes; it is the same for all methods
    def pixels_of(fingerprint: str, dataset: str, image_size: int) -> np.ndarray | None:
        return train_images(fingerprint, dataset, image_size, images)

    parts = []
    for (fingerprint, dataset, size, forget, protocol, method), worst in recogniser.worst(NUM_PICTURES).items():
        if method in shown:
            pixels = pixels_of(fingerprint, dataset, size)
            forgetting = f", forgetting {forget_name(forget)}" if forget != RANDOM else ""
            parts.append(_worst_of_method(f"{dataset} {size} px, {protocol}, {method}{forgetting}", worst, pixels))
    meaning = (
        "How much surer of the true class a model is than the retrain of its cell: difference of log(p / (1 − p)), "
        "mean over the n models that were to forget the image. What retrain-again shows is chance."
    )
    return Section("Forgotten images that stay most recognisable", [meaning], parts=parts)


def _worst_of_method(title: str, worst: Sequence[Worst], pixels: np.ndarray | None) -> Section:
    """The pictures of some images with their captions; the captions alone where the pixels are not at hand."""
    captions = [f"{w.excess:+.1f}, train {w.index}, class {w.label}, n = {w.n}" for w in worst]
    if pixels is None:
        return Section(title, [f"{'; '.join(captions)}. The pixels are not at hand: give the file by --images."])
    return Section(title, pictures=[picture(pixels[w.index], text) for w, text in zip(worst, captions, strict=True)])


def _every_row(runs: Sequence[Run]) -> Section:
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
    table = Table("Every row", rows, "", (*RUN_COLUMNS, "Command"))
    return Section(table.title, folded="Command, hardware and versions of each row", table=table)
