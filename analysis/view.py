"""`Results`: a view of a folder's rows, from which tables, figures and pages are derived."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

from salun_grid.analysis.cells import Cell, cells_of
from salun_grid.analysis.gaps import Summary, summarise
from salun_grid.analysis.rows import Run
from salun_grid.analysis.variants import Differing, differing


@dataclass(frozen=True, eq=False)
class Results:
    """Cells in the order of the tables; everything else is derived from them on first use and cached.

    `summaries` raises InputError if a seed occurs twice.
    """

    cells: tuple[Cell, ...]

    @classmethod
    def of(cls, runs: Sequence[Run], disambiguated: Collection[str] = (), by: Differing | None = None) -> "Results":
        """The view of some rows of `runs`, named by `labelled`."""
        return cls(tuple(cells_of(runs, disambiguated, by)))

    def named(self, disambiguated: Collection[str], by: Differing) -> "Results":
        """The same rows, named for a comparison with another folder."""
        return Results.of(self.runs, disambiguated, by)

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
        """Names that several datasets of the folder share."""
        return frozenset(cell.run["dataset"] for cell in self.cells if cell.group.dataset != cell.run["dataset"])

    @cached_property
    def differing(self) -> Differing:
        """For each method with several variants in a group, the settings in which they differ."""
        return differing((cell.group, cell.run["method"], cell.run["method_params"]) for cell in self.cells)

    @cached_property
    def provenance(self) -> str:
        """One sentence with the hardware and versions of the rows."""
        return (
            f"{len(self.runs)} rows on {self._distinct('device_name')}; salun-grid {self._distinct('code_version')}, "
            f"torch {self._distinct('torch_version')}, ray {self._distinct('ray_version')}."
        )

    def _distinct(self, column: str) -> str:
        return ", ".join(sorted({run[column] for run in self.runs}))
