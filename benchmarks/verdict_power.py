"""Error rates, coverage and power of the verdicts, by simulated studies: `python -m benchmarks.verdict_power`.

Each simulated study goes through the code that judges a real one. A model's metric in a cell and seed is its mean plus
normal noise with the standard deviations that retrains of the demo showed (NOISE), independent between models.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import click
import numpy as np
from scipy.optimize import brentq

from salun_grid.analysis.cells import Cell, Group
from salun_grid.analysis.contrasts import contrasts_of
from salun_grid.analysis.outcomes import Outcome, scored_blocks
from salun_grid.analysis.statistics import Spread
from salun_grid.analysis.verdicts import Verdict, verdicts_of
from salun_grid.records.question import Question

METRICS = ("ua", "ra", "ta", "auc")
# Standard deviations over seeds of a retrain of the demo, in points (n = 5).
NOISE = {"ua": 4.4, "ra": 0.7, "ta": 3.0, "auc": 2.5}
# The mean gaps of the no-op, whose average is 8 points.
NO_OP = {"ua": 16.0, "ra": 1.0, "ta": 3.0, "auc": 12.0}
MARGIN = 1.0


@dataclass(frozen=True)
class Scenario:
    """A simulated design. `gap` is a method's mean gap as a share of the no-op's; `noise` scales its own noise."""

    seeds: int
    cells: int
    gap: float = 0.0
    noise: float = 1.0
    methods: int = 1


def study(scenario: Scenario, rng: np.random.Generator) -> list[Verdict]:
    """The verdicts on one simulated study."""
    gaps = {"retrain": 0.0, "retrain-again": 0.0, "original": 1.0}
    gaps |= {f"method{i}": scenario.gap for i in range(scenario.methods)}
    question = Question("auc", MARGIN, tuple(name for name in gaps if name.startswith("method")))
    return verdicts_of(contrasts_of(scored_blocks(_blocks(scenario, gaps, rng), question)), question)


def _blocks(scenario: Scenario, gaps: dict[str, float], rng: np.random.Generator) -> Iterator[dict[str, Outcome]]:
    for number in range(scenario.cells):
        group = Group("p", "simulated", 28, "m", "none", f"cell {number}")
        for seed in range(scenario.seeds):
            yield {name: _outcome(scenario, name, gap, group, seed, rng) for name, gap in gaps.items()}


def _outcome(scenario: Scenario, name: str, gap: float, group: Group, seed: int, rng: np.random.Generator) -> Outcome:
    scale = scenario.noise if name.startswith("method") else 1.0
    draws = dict(zip(METRICS, rng.standard_normal(len(METRICS)), strict=True))
    values = {m: 50 + gap * NO_OP[m] + scale * NOISE[m] * draws[m] for m in METRICS}
    return Outcome(Cell({"seed": seed}, group, name, {}), values, {})


def mean_ag(gap: float, noise: float = 1.0) -> float:
    """Expected AG of a method: mean of folded normal distributions, in points."""
    from scipy.stats import foldnorm

    sds = {m: NOISE[m] * np.hypot(1, noise) for m in METRICS}
    return float(np.mean([foldnorm.mean(gap * NO_OP[m] / sds[m], scale=sds[m]) for m in METRICS]))


def gap_at_margin() -> float:
    """The gap of a method whose true excess AG is the margin: there, claims of equivalence are errors."""
    return float(brentq(lambda gap: mean_ag(gap) - mean_ag(0.0) - MARGIN, 0, 1))


def covers(values: Spread | None, truth: float) -> bool:
    assert values is not None
    low, high = values.interval
    return low <= truth <= high


@dataclass(frozen=True)
class Rates:
    """Shares of simulated studies with a claim about any method, coverage of both intervals, mean excess AG."""

    better: float
    worse: float
    equivalent: float
    farther: float
    passes: float
    undecided: float
    excess_coverage: float
    difference_coverage: float
    mean_excess: float


def rates(scenario: Scenario, studies: int, seed: int = 0) -> Rates:
    """Claims in `studies` simulated studies of one scenario."""
    rng = np.random.default_rng(seed)
    found = [[v for v in study(scenario, rng) if not v.is_control] for _ in range(studies)]
    excess = mean_ag(scenario.gap, scenario.noise) - mean_ag(0.0)
    difference = mean_ag(scenario.gap, scenario.noise) - mean_ag(1.0)

    def share(claim: str) -> float:
        return float(np.mean([any(getattr(v, claim) for v in own) for own in found]))

    first = [own[0].contrasts for own in found]
    return Rates(
        better=share("better"),
        worse=share("worse"),
        equivalent=share("equivalent"),
        farther=share("farther"),
        passes=share("passes"),
        undecided=share("undecided"),
        excess_coverage=float(np.mean([covers(one.excess, excess) for one in first])),
        difference_coverage=float(np.mean([covers(one.benefit, difference) for one in first])),
        mean_excess=float(np.mean([one.excess.mean for one in first if one.excess])),
    )


def scenarios(seeds: int, cells: int) -> dict[str, Scenario]:
    """What is simulated at each design."""
    base = Scenario(seeds, cells)
    return {
        "perfect method": base,
        "perfect, its noise doubled": replace(base, noise=2.0),
        "half of the no-op's gap": replace(base, gap=0.5),
        "excess AG at the margin": replace(base, gap=gap_at_margin()),
        "the no-op itself": replace(base, gap=1.0),
        "ten methods like the no-op": replace(base, gap=1.0, methods=10),
        "ten methods at the margin": replace(base, gap=gap_at_margin(), methods=10),
    }


HEADER = (
    "| seeds × cells | method | better | worse | equivalent | farther | passes | undecided | excess AG: true, mean | "
    "coverage |"
)


def table(studies: int, designs: list[tuple[int, int]]) -> Iterator[str]:
    """The rows of the table in docs/statistics.md, in Markdown."""
    yield HEADER
    yield "|---|---|" + "---:|" * 8
    for seeds, cells in designs:
        for name, scenario in scenarios(seeds, cells).items():
            found = rates(scenario, studies)
            true = mean_ag(scenario.gap, scenario.noise) - mean_ag(0.0)
            claims = (found.better, found.worse, found.equivalent, found.farther, found.passes, found.undecided)
            shares = " | ".join(f"{claim:.3f}" for claim in claims)
            yield (
                f"| {seeds} × {cells} | {name} | {shares} | {true:.2f}, {found.mean_excess:.2f} | "
                f"{found.excess_coverage:.3f}, {found.difference_coverage:.3f} |"
            )


@click.command()
@click.option("--studies", type=click.IntRange(min=10), default=2000, show_default=True, help="Studies per row.")
def main(studies: int) -> None:
    """Print the table."""
    for line in table(studies, [(3, 1), (3, 4), (5, 1), (5, 4), (10, 1), (10, 4)]):
        click.echo(line)


if __name__ == "__main__":
    main()
