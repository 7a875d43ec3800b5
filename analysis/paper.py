"""The printed numbers of the paper that the protocol `paper` reproduces.

Falcão and Cordeiro, "Análise de Desaprendizado de Máquina em Modelos de Classificação de Imagens Médicas", Tables 1
and 2: 64 px, random crop and flip, one value per cell, without spread.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from salun_grid.analysis.cells import without_hash
from salun_grid.analysis.gaps import PAPER_METRICS, Summary
from salun_grid.analysis.rte import Signs, device_signs, devices_note, rte_cell
from salun_grid.analysis.tables import Table, count, plus_minus
from salun_grid.records.forget_label import percent, random_label

AUGMENTATION, IMAGE_SIZE = "default", 64


@dataclass(frozen=True)
class PaperRow:
    """One printed row: metrics in percent, RTE in minutes; AG averages four gaps in Table 1, three in Table 2."""

    table: int
    dataset: str
    forget_rate: float
    method: str
    ua: float
    ra: float
    ta: float
    mia: float
    ag: float
    rte_minutes: float


PAPER = [
    PaperRow(1, "bloodmnist", 0.1, "retrain", 0.84, 99.80, 98.57, 1.76, 0.00, 22.2),
    PaperRow(1, "bloodmnist", 0.1, "salun", 0.00, 99.92, 98.89, 0.17, 0.72, 1.1),
    PaperRow(1, "organamnist", 0.1, "retrain", 0.06, 100.00, 96.37, 1.53, 0.00, 63.3),
    PaperRow(1, "organamnist", 0.1, "salun", 0.00, 100.00, 95.13, 0.69, 0.53, 2.8),
    PaperRow(1, "pathmnist", 0.1, "retrain", 0.11, 100.00, 87.77, 1.06, 0.00, 160),
    PaperRow(1, "pathmnist", 0.1, "salun", 1.09, 98.84, 77.49, 4.43, 3.95, 7.6),
    PaperRow(2, "bloodmnist", 0.5, "retrain", 1.37, 100.00, 98.48, 3.61, 0.00, 22.2),
    PaperRow(2, "bloodmnist", 0.5, "salun", 0.12, 99.93, 98.77, 0.45, 1.57, 1.3),
    PaperRow(2, "organamnist", 0.5, "retrain", 0.13, 100.00, 95.93, 1.93, 0.00, 63.3),
    PaperRow(2, "organamnist", 0.5, "salun", 0.02, 99.94, 94.99, 0.89, 0.70, 3.5),
    PaperRow(2, "pathmnist", 0.5, "retrain", 0.20, 100.00, 91.80, 1.93, 0.00, 160),
    PaperRow(2, "pathmnist", 0.5, "salun", 2.33, 97.82, 83.87, 6.60, 4.91, 8.9),
]

AVERAGE_OF_TABLE = {1: "ag", 2: "ag3"}
COLUMNS = ("Table", "Dataset", "Forget", "Method", "UA", "RA", "TA", "MIA", "AG", "RTE (min)", "n")


def paper_table(summaries: Sequence[Summary]) -> Table:
    """Each printed row as `paper | ours`, a dash where we have no such cell."""
    found = [[summary for summary in summaries if _same_cell(row, summary)] for row in PAPER]
    signs = device_signs(summary for ours in found for summary in ours)
    rows = [_row(row, own, signs) for row, ours in zip(PAPER, found, strict=True) for own in ours or (None,)]
    rest = f" Ours: {devices_note(signs)}" if signs else " None of its datasets is here."
    note = (
        "Paper | ours, in percent. The paper prints one value a cell, without seeds or spread, at 64 px with random "
        "crop and flip; ours: mean ± sample standard deviation over n seeds, at the size and protocol named. AG "
        f"is the mean of four gaps in Table 1 and of three, without RA, in Table 2, as printed.{rest}"
    )
    return Table("Tables 1 and 2 of the paper, and ours", rows, note, COLUMNS)


def _same_cell(row: PaperRow, summary: Summary) -> bool:
    group = summary.group
    cell = (without_hash(group.dataset), group.forget, group.augmentation, summary.base)
    return cell == (row.dataset, random_label(row.forget_rate), AUGMENTATION, row.method)


def _row(row: PaperRow, ours: Summary | None, signs: Signs) -> list[str]:
    labels = [str(row.table), row.dataset, percent(row.forget_rate), row.method]
    printed = [f"{getattr(row, metric):.2f}" for metric in PAPER_METRICS] + [f"{row.ag:.2f}", f"{row.rte_minutes:g}"]
    if ours is None:
        return [*labels, *(f"{value} | –" for value in printed), "1 | –"]
    labels[1], labels[3] = f"{ours.group.dataset} {ours.group.image_size}px, {ours.group.protocol}", ours.method
    gap = ours.gaps.get(AVERAGE_OF_TABLE[row.table])
    found = [plus_minus(ours.values[metric]) for metric in PAPER_METRICS]
    found += [plus_minus(gap) if gap else "–", rte_cell(ours, signs, digits=2)]
    cells = [f"{value} | {own}" for value, own in zip(printed, found, strict=True)]
    return [*labels, *cells, f"1 | {count(ours)}"]
