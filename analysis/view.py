"""`Results`: one view of a folder's rows, made once; what tables, figures and pages derive from rows is here."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

from salun_grid.analysis.cells import Cell, cells_of
from salun_grid.analysis.gaps import Summary, summarise
from salun_grid.analysis.rows import Run
from salun_grid.analysis.variants import Differing, differing


@dataclass(frozen=True, eq=False)
class Results:
    """Cells in the order of the tables; everything else follows from them and is computed once, when first asked for.

    Raises InputError from `summaries` where a seed is there twice.
    """

    cells: tuple[Cell, ...]

    @classmethod
    def of(cls, runs: Sequence[Run], told_apart: Collection[str] = (), by: Differing | None = None) -> "Results":
        """The view of some rows of `runs`, with the names that `labelled` gives them."""
        return cls(tuple(cells_of(runs, told_apart, by)))

    def named(self, told_apart: Collection[str], by: Differing) -> "Results":
        """The same rows with the names that they need in a comparison with another folder."""
        return Results.of(self.runs, told_apart, by)

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The rows, in the order of the tables."""
        return tuple(cell.run for cell in self.cells)

    @cached_property
    def summaries(self) -> tuple[Summary, ...]:
        """One Summary for each group and variant, retrain first, then the noise floor and the no-op `original`."""
        return tuple(summarise(self.cells))

    @cached_property
    def studies(self) -> tuple[str, ...]:
        """The names of the studies, sorted."""
        return tuple(sorted({run["study"] for run in self.runs}))

    @cached_property
    def ambiguous(self) -> frozenset[str]:
        """Names of datasets that stand for several sets of images here."""
        return frozenset(cell.run["dataset"] for cell in self.cells if cell.group.dataset != cell.run["dataset"])

    @cached_property
    def differing(self) -> Differing:
        """For each method that some group holds in several variants, the settings in which they differ."""
        return differing((cell.group, cell.run["method"], cell.run["method_params"]) for cell in self.cells)

    @cached_property
    def provenance(self) -> str:
        """One sentence with the hardware and the versions behind the rows."""
        return (
            f"{len(self.runs)} rows on {self._distinct('device_name')}; salun-grid {self._distinct('code_version')}, "
            f"torch {self._distinct('torch_version')}, ray {self._distinct('ray_version')}."
        )

    def _distinct(self, column: str) -> str:
        return ", ".join(sorted({run[column] for run in self.runs}))
