"""What the results support for each method. The rules, all of them, are RULES and `verdict_of`.

A method is compared with the retrain of the same seed, so n counts pairs. Nothing is claimed below MIN_SEEDS.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from salun_grid.analysis.gaps import CONTROLS, NO_OP, NOISE, PAPER_METRICS, Summary
from salun_grid.analysis.statistics import ROUNDING, Spread, below_zero_p, equivalence_p, holm, spread

ALPHA = 0.05
MARGIN_POINTS = 1.0
MIN_SEEDS = 3

RULES = (
    "Gaps are method minus the retrain of the same seed. Fewer than {min_seeds} such pairs: too few seeds to say. "
    "Indistinguishable: for each of UA, RA, TA and MIA, two one-sided paired t tests (TOST) put the mean gap within "
    "±{margin:g} points; their largest p, Holm-corrected over all cells and methods here, is below {alpha:g}. "
    "But so is the no-op: `original` passes the same tests, uncorrected. "
    "Better than the no-op: its AG lies below that of `original` of the same seeds in a one-sided paired t test, "
    "Holm-corrected in the same way. No better: its mean AG does not, whatever the scatter. Not shown better: its mean "
    "AG does, but not the test. Whatever passes no test is not proven different: more seeds may decide. "
    "Where all seeds have one and the same gap other than 0, p is a sign test's. "
    "`original` and `retrain-again` are controls and are corrected among themselves."
)


@dataclass(frozen=True)
class Verdict:
    """One method in one group. p values are Holm-corrected, NaN where nothing was tested.

    `equivalence_p`: largest TOST p of the four metrics. `benefit_p`: that AG lies below `original`'s.
    `nothing` and `noise` are AG of `original` and of `retrain-again` in the same group, over the seeds that this method
    has too; None where there is none.
    """

    summary: Summary
    margin: float
    equivalence_p: float
    benefit_p: float
    nothing: Spread | None
    noise: Spread | None
    text: str

    @property
    def n(self) -> int:
        return len(self.summary.ag_by_seed)


def rules(margin: float = MARGIN_POINTS) -> str:
    """The rules in words, for a note under a table."""
    return RULES.format(min_seeds=MIN_SEEDS, margin=margin, alpha=ALPHA)


def judge(summaries: Sequence[Summary], margin: float = MARGIN_POINTS) -> list[Verdict]:
    """A verdict for each summary but the retrains, in the given order. `margin` in percentage points."""
    rows = [summary for summary in summaries if summary.method != "retrain"]
    by_place = {(summary.group, summary.method): summary for summary in rows}
    uncorrected = [equivalence_of(row, margin) for row in rows]
    equivalence = _corrected(rows, uncorrected)
    benefit = _corrected(rows, [benefit_of(row, by_place.get((row.group, NO_OP))) for row in rows])
    as_equal = {(row.group, row.method) for row, p in zip(rows, uncorrected, strict=True) if p < ALPHA}
    verdicts = []
    for row, p, q in zip(rows, equivalence, benefit, strict=True):
        no_op, noise = (by_place.get((row.group, control)) for control in (NO_OP, NOISE))
        text = verdict_of(row, margin, p, q, ag_excess(row, no_op), (row.group, NO_OP) in as_equal)
        verdicts.append(Verdict(row, margin, p, q, shared_ag(row, no_op), shared_ag(row, noise), text))
    return verdicts


def shared_ag(row: Summary, control: Summary | None) -> Spread | None:
    """AG of a control over the seeds that `row` has too; None where there is none."""
    shared = [control.ag_by_seed[seed] for seed in row.ag_by_seed if seed in control.ag_by_seed] if control else []
    return spread(shared) if shared else None


def verdict_of(
    summary: Summary, margin: float, equivalence: float, benefit: float, excess: Sequence[float], nothing_is_equal: bool
) -> str:
    """The rules in words. `excess` is AG minus that of `original`, for each shared seed."""
    n = len(summary.ag_by_seed)
    if n == 0:
        return "no retrain to compare with"
    if n < MIN_SEEDS:
        return f"too few seeds to say (n = {n}; {MIN_SEEDS} are needed)"
    if math.isnan(equivalence):
        return f"cannot say: NaN among the metrics, n = {n}"
    equal, place = equivalence < ALPHA, f"retraining at ±{margin:g} {_points(margin)}"
    closeness = f"indistinguishable from {place}" if equal else f"not shown equal to {place}"
    if summary.method in CONTROLS:
        return f"{closeness}, n = {n}"
    if equal and nothing_is_equal:
        return f"{closeness}, but so is the no-op, n = {n}"
    why_not = _incomparable(excess)
    if why_not:
        return f"{closeness}, n = {n}; {why_not}"
    counts = f"n = {n}" if len(excess) == n else f"n = {n}, {len(excess)} of them beside `original`"
    if benefit < ALPHA:
        return f"{closeness}, {counts}" if equal else f"better than the no-op, but {closeness}, {counts}"
    benefits = "no better" if sum(excess) >= -ROUNDING * n else "not shown better"
    return f"{f'{closeness}, but ' if equal else ''}{benefits} than the no-op, {counts}"


def _incomparable(excess: Sequence[float]) -> str:
    """Why a method cannot be compared with the no-op, or ""."""
    if len(excess) < MIN_SEEDS:
        return "too few seeds of `original` to compare with the no-op"
    if not math.isfinite(sum(excess)):
        return "NaN among the metrics of `original`, no comparison with the no-op"
    return ""


def _points(margin: float) -> str:
    return "point" if margin == 1 else "points"


def equivalence_of(summary: Summary, margin: float) -> float:
    """The largest TOST p over UA, RA, TA and MIA: all four must hold, so no correction among them is due.

    NaN below MIN_SEEDS pairs or with a NaN among the gaps.
    """
    if len(summary.signed_by_seed) < MIN_SEEDS:
        return math.nan
    p_values = [equivalence_p([gap[name] for gap in summary.signed_by_seed.values()], margin) for name in PAPER_METRICS]
    return math.nan if any(map(math.isnan, p_values)) else max(p_values)


def ag_excess(summary: Summary, nothing: Summary | None) -> list[float]:
    """AG of the method minus AG of the no-op, for each seed that has both."""
    other = nothing.ag_by_seed if nothing else {}
    return [ag - other[seed] for seed, ag in summary.ag_by_seed.items() if seed in other]


def benefit_of(summary: Summary, nothing: Summary | None) -> float:
    """p that the method's AG lies below that of the no-op; NaN for `original` itself and below MIN_SEEDS."""
    excess = ag_excess(summary, nothing)
    return math.nan if summary.method == NO_OP or len(excess) < MIN_SEEDS else below_zero_p(excess)


def _corrected(rows: Sequence[Summary], p_values: list[float]) -> list[float]:
    """Holm over the methods, and over the controls, each family by itself."""
    out = list(p_values)
    for family in (True, False):
        chosen = [i for i, row in enumerate(rows) if (row.method in CONTROLS) is family]
        for i, p in zip(chosen, holm([p_values[i] for i in chosen]), strict=True):
            out[i] = p
    return out


def overall(verdicts: Sequence[Verdict]) -> list[str]:
    """One line for each method: how many of its cells got which verdict, the most frequent first.

    A last line says how often a second retraining passes the same test: where it does not, a method can hardly.
    """
    texts: dict[str, Counter[str]] = defaultdict(Counter)
    for verdict in verdicts:
        if verdict.summary.method not in CONTROLS:
            texts[verdict.summary.method][verdict.text] += 1
    lines = []
    for method, counts in texts.items():
        parts = [f"in {count} of {counts.total()} cells {text}" for text, count in counts.most_common()]
        lines.append(f"{method}: {'; '.join(parts)}.")
    noise = [v for v in verdicts if v.summary.method == NOISE and not math.isnan(v.equivalence_p)]
    if lines and noise:
        passed, margin = sum(v.equivalence_p < ALPHA for v in noise), noise[0].margin
        lines.append(
            f"A second retraining (retrain-again) is itself shown equal to the retrain at ±{margin:g} "
            f"{_points(margin)} in {passed} of {len(noise)} cells: where it is not, there are too few seeds, or the "
            "margin is narrower than chance, and a method can hardly be."
        )
    return lines
