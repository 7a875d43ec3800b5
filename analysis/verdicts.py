"""What the results support for each method: the primary question of the study, one test per method.

docs/statistics.md states the assumptions; RULES states the whole procedure in words.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from salun_grid.analysis.contrasts import Contrasts
from salun_grid.analysis.gaps import CONTROLS, NO_OP, NOISE, NOT_METHODS
from salun_grid.analysis.statistics import (
    ALPHA,
    POWER,
    Spread,
    above_p,
    equivalence_p,
    holm,
    seeds_for,
    two_sided_p,
)
from salun_grid.analysis.tables import with_interval
from salun_grid.records.question import ATTACKS, Question

RULES = (
    "Excess AG: a method's AG minus that of retrain-again, averaged over the cells of each seed; AG is the mean "
    "absolute gap to the retrain in UA, RA, TA and {attack}. Two t tests over seeds for each method: its AG against "
    "the no-op's (two-sided), and its excess AG within ±{margin:g} (two one-sided tests). p values are Holm-corrected "
    "over {family}, each kind of test by itself; a method passes if it is better than the no-op and equivalent. "
    "A standard error is never below that of the number of images. Not shown to differ is no evidence of equality. "
    "n: seeds × cells. Provable: the narrowest margin ± that these seeds and this scatter can prove at the corrected "
    "level. "
    "Needed: seeds for 80 % power at the observed mean and scatter, for equivalence / for the difference to the no-op."
)


@dataclass(frozen=True)
class Verdict:
    """The tests of one method, p values Holm-corrected over `family` methods; NaN where nothing was tested.

    `no_op_is_equivalent`: the no-op passes the same equivalence test, uncorrected, so equivalence says little.
    """

    contrasts: Contrasts
    question: Question
    family: int
    difference_p: float
    equivalence_p: float
    farther_p: float
    no_op_is_equivalent: bool

    @property
    def is_control(self) -> bool:
        return self.contrasts.method in CONTROLS

    @property
    def better(self) -> bool:
        """The AG is below the no-op's."""
        return self._difference < 0

    @property
    def worse(self) -> bool:
        """The AG is above the no-op's."""
        return self._difference > 0

    @property
    def _difference(self) -> float:
        """The mean difference to the no-op where it is proved, else 0."""
        return self.contrasts.benefit.mean if self.contrasts.benefit and self.difference_p < ALPHA else 0.0

    @property
    def equivalent(self) -> bool:
        """The excess AG lies within the margin."""
        return self.equivalence_p < ALPHA

    @property
    def farther(self) -> bool:
        """The excess AG lies above the margin."""
        return self.farther_p < ALPHA

    @property
    def passes(self) -> bool:
        """Both parts of the primary question are answered with yes."""
        return self.better and self.equivalent

    @property
    def provable(self) -> float:
        """The narrowest margin that this design can prove if the excess is 0, at the corrected level, in points."""
        excess = self.contrasts.excess
        return excess.half_width(ALPHA / self.family) if excess else math.nan

    @property
    def seeds_needed(self) -> dict[str, int | None]:
        """Seeds for power POWER of each test at the observed mean and scatter; None where no number of seeds helps."""
        found = {}
        excess, benefit, margin = self.contrasts.excess, self.contrasts.benefit, self.question.margin_points
        if excess and excess.n > 1:
            found["equivalence"] = seeds_for(-margin, margin, excess.mean, _sd(excess), ALPHA / self.family, POWER)
        if benefit and benefit.n > 1:
            level = ALPHA / 2 / self.family
            found["difference"] = seeds_for(-math.inf, 0.0, -abs(benefit.mean), _sd(benefit), level, POWER)
        return found

    @property
    def undecided(self) -> bool:
        """Neither equivalent nor farther, and no result of this design could have been equivalent."""
        tested = not math.isnan(self.equivalence_p) and not (self.equivalent or self.farther)
        return tested and self.provable >= self.question.margin_points

    @property
    def advice(self) -> str:
        """What would decide an undecided verdict, in brackets after a comma; else empty."""
        if not self.undecided:
            return ""
        seeds = self.seeds_needed.get("equivalence")
        return f", {seeds} seeds would decide" if seeds else ", more seeds would not decide at this estimate"

    @property
    def text(self) -> str:
        """The verdict in words, without numbers but the margins."""
        return "; ".join(part for part in (self.against_no_op, self.against_retrain) if part)

    @property
    def against_no_op(self) -> str:
        """How the AG compares with the no-op's; empty for the no-op itself."""
        if not self.contrasts.cells:
            return "no retrain to compare with"
        if self.contrasts.method == NO_OP:
            return ""
        if self.contrasts.benefit is None:
            return "no result of the no-op to compare with"
        if math.isnan(self.difference_p):
            return _untested(self.contrasts.benefit)
        if self.better or self.worse:
            return f"{'better' if self.better else 'worse'} than the no-op"
        return "not shown to differ from the no-op"

    @property
    def against_retrain(self) -> str:
        """How the excess AG compares with the margin; empty for a second retraining, whose excess is 0."""
        if self.contrasts.method == NOISE or not self.contrasts.cells:
            return ""
        excess, margin = self.contrasts.excess, _points(self.question.margin_points)
        if excess is None:
            return "no second retraining (retrain-again), so the excess AG is unknown"
        if math.isnan(self.equivalence_p):
            return _untested(excess)
        if self.equivalent:
            also = ", as is the no-op" if self.no_op_is_equivalent and not self.is_control else ""
            return f"equivalent to retraining within ±{margin}{also}"
        if self.farther:
            return f"farther from retraining than {margin}"
        if self.undecided:
            return f"undecided: this design could prove at best ±{self.provable:.2f} with these {excess.n} seeds"
        return f"not shown equivalent to retraining within ±{margin}"


def _sd(values: Spread) -> float:
    return max(values.sd, values.least_se * math.sqrt(values.n))


def _untested(values: Spread) -> str:
    return "NaN among the metrics, no test" if values.n > 1 else "one seed, no test; add a second"


def _points(margin: float) -> str:
    return f"{margin:g} point{'s' * (margin != 1)}"


def rules(question: Question, family: int) -> str:
    """The rules in words, for a note under a table."""
    declared = f"the {family} declared methods" if question.methods else f"the {family} methods here (none declared)"
    return RULES.format(attack=ATTACKS[question.attack], margin=question.margin_points, family=declared)


def verdicts_of(found: Sequence[Contrasts], question: Question) -> list[Verdict]:
    """A verdict for each method and control. Methods are corrected over the declared family; controls are not."""
    by_protocol: dict[str, list[Contrasts]] = defaultdict(list)
    for one in found:
        by_protocol[one.protocol].append(one)
    return [verdict for own in by_protocol.values() for verdict in _of_protocol(own, question)]


def _of_protocol(found: Sequence[Contrasts], question: Question) -> list[Verdict]:
    methods = [one for one in found if one.method not in NOT_METHODS]
    family = max(len(methods), len(question.methods), 1)
    margin = question.margin_points
    tests: tuple[Callable[[Contrasts], float], ...] = (
        lambda one: two_sided_p(one.benefit) if one.benefit else math.nan,
        lambda one: equivalence_p(one.excess, margin) if one.excess else math.nan,
        lambda one: above_p(one.excess, margin) if one.excess else math.nan,
    )
    controls = [one for one in found if one.method in CONTROLS]
    p_values = {one.method: tuple(test(one) for test in tests) for one in controls}
    no_op_is_equivalent = p_values[NO_OP][1] < ALPHA if NO_OP in p_values else False
    corrected = [holm([test(one) for one in methods], family) for test in tests]
    p_values |= {one.method: own for one, own in zip(methods, zip(*corrected, strict=True), strict=True)}
    sizes = {one.method: 1 if one.method in CONTROLS else family for one in found}
    return [
        Verdict(one, question, sizes[one.method], difference, equivalence, farther, no_op_is_equivalent)
        for one in found
        for difference, equivalence, farther in [p_values[one.method]]
    ]


def sentence(verdict: Verdict) -> str:
    """One line for a reader without statistics: the verdict with its estimates, intervals, n and what would decide."""
    one = verdict.contrasts
    parts = []
    if verdict.against_no_op:
        parts.append(verdict.against_no_op + (f" (AG {shifted(one.benefit)} points)" if one.benefit else ""))
    if verdict.against_retrain:
        number = f" (excess AG {with_interval(one.excess, '+')} points)" if one.excess else ""
        parts.append(f"{verdict.against_retrain}{number}{verdict.advice}")
    return f"{one.method}: {'; '.join(parts)}; n = {size(one)}."


def size(one: Contrasts) -> str:
    """`5 seeds × 4 cells`."""
    seeds, cells = len(one.seeds), one.cells
    return f"{seeds} seed{'s' * (seeds != 1)} × {cells} cell{'s' * (cells != 1)}"


def shifted(value: Spread) -> str:
    """`lower by 1.20 [0.90, 1.50]` or `higher by …`, a difference with its 95 % interval."""
    way, sign = ("lower", -1) if value.mean < 0 else ("higher", 1)
    ends = sorted(sign * end for end in value.interval)
    interval = "" if math.isnan(ends[0]) else f" [{ends[0]:.2f}, {ends[1]:.2f}]"
    return f"{way} by {sign * value.mean:.2f}{interval}"


def overall(verdicts: Sequence[Verdict]) -> list[str]:
    """A sentence for each method, those that pass first, then the no-op for comparison."""
    methods = sorted((v for v in verdicts if not v.is_control), key=lambda v: (not v.passes, _mean_ag(v)))
    several = len({v.contrasts.protocol for v in verdicts}) > 1
    lines = [f"{v.contrasts.protocol}: {sentence(v)}" if several else sentence(v) for v in methods]
    return lines + [sentence(v) for v in verdicts if lines and v.contrasts.method == NO_OP]


def _mean_ag(verdict: Verdict) -> float:
    ag = verdict.contrasts.ag
    return ag.mean if ag and math.isfinite(ag.mean) else math.inf
