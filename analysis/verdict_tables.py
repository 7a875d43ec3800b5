"""The tables of the primary question and of the exploratory results."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from salun_grid.analysis.contrasts import contrasts_of
from salun_grid.analysis.exploratory import Exploratory, explored, signed_gaps
from salun_grid.analysis.outcomes import answerable, outcomes_in, scored_blocks
from salun_grid.analysis.tables import Table, with_interval
from salun_grid.analysis.verdicts import Verdict, rules, verdicts_of
from salun_grid.analysis.view import Results
from salun_grid.records import storage
from salun_grid.records.forget_label import forget_name
from salun_grid.records.question import ATTACKS, Question
from salun_grid.records.studies import declared_question, read_studies

COLUMNS: tuple[str, ...] = ("Protocol", "Method", "Verdict", "AG", "Excess AG", "AG − no-op", "p equal")
COLUMNS += ("p differs", "Provable", "Needed", "n")
EXPLORATORY_COLUMNS = ("Dataset", "Augmentation", "Method", "Forget", "Gap", "Mean", "p (BH)", "n")


def question_of(folder: str, margin: float | None = None) -> Question:
    """The declared question of a folder, the default where none was declared; `margin` replaces its margin."""
    declared = declared_question(read_studies(storage.find(folder))[0]) or Question()
    return answerable(folder, declared if margin is None else replace(declared, margin_points=margin))


def answers(folder: str, results: Results, question: Question) -> tuple[list[Verdict], list[Exploratory]]:
    """The verdicts and exploratory results of a folder; each model's predictions are read once."""
    found = list(scored_blocks(outcomes_in(folder, results.cells), question))
    verdicts = verdicts_of(contrasts_of(found), question)
    return verdicts, explored(signed_gaps(found), verdicts)


def verdict_table(verdicts: Sequence[Verdict], question: Question, provenance: str, remarks: str = "") -> Table:
    """One row for each method: the verdict, the estimates behind it, and what the design could have proved."""
    family = max((v.family for v in verdicts if not v.is_control), default=len(question.methods))
    note = (
        f"Percentage points, mean over cells, then over seeds, with 95 % Student intervals; p Holm-corrected, so no "
        f"interval here stands for it. {rules(question, family)} {_left_out(verdicts)}{provenance} {remarks}"
    )
    title = f"Verdicts at ±{question.margin_points:g} percentage points of excess AG"
    return Table(title, [_row(verdict) for verdict in verdicts], note.strip(), COLUMNS)


def _left_out(verdicts: Iterable[Verdict]) -> str:
    """A sentence for each kind of result that enters no verdict."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for one in (verdict.contrasts for verdict in verdicts):
        if one.left_out:
            reasons[f"seed {', '.join(map(str, one.left_out))}, not all cells of which are done,"].append(one.method)
        if one.uncontrolled:
            reasons[f"cells without both controls ({one.uncontrolled})"].append(one.method)
    return "".join(f"Left out: {reason} of {', '.join(methods)}. " for reason, methods in reasons.items())


def _row(verdict: Verdict) -> list[str]:
    one = verdict.contrasts
    estimates = [
        with_interval(one.ag) if one.ag else "–",
        with_interval(one.excess, sign="+") if one.excess else "–",
        with_interval(one.benefit, sign="+") if one.benefit else "–",
    ]
    tests = [p_value(verdict.equivalence_p), p_value(verdict.difference_p)]
    provable = "–" if math.isnan(verdict.provable) else f"{verdict.provable:.2f}"
    seeds = verdict.seeds_needed
    needed = " / ".join(str(seeds[name] or "none") if name in seeds else "–" for name in ("equivalence", "difference"))
    return [
        one.protocol,
        one.method,
        verdict.text,
        *estimates,
        *tests,
        provable,
        needed,
        f"{len(one.seeds)} × {one.cells}",
    ]


def p_value(p: float) -> str:
    """`0.012`, `<0.001`, or a dash for NaN."""
    if math.isnan(p):
        return "–"
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def exploratory_table(found: Sequence[Exploratory], provenance: str) -> Table:
    """Signed gaps of the methods that pass, by cell and metric."""
    rows = [
        [
            f"{one.group.dataset} {one.group.image_size}px, {one.group.protocol}",
            one.group.augmentation,
            one.method,
            forget_name(one.group.forget),
            one.metric.upper(),
            with_interval(one.gap, sign="+"),
            p_value(one.p),
            str(one.gap.n),
        ]
        for one in found
    ]
    note = (
        "Exploratory: method minus retrain of the same seed, in percentage points, with 95 % Student intervals, for "
        "the methods that pass; p of a t test that the gap is not 0, adjusted by Benjamini and Hochberg over this "
        f"table. AUC: {ATTACKS['auc']}. {provenance}"
    )
    return Table("Exploratory: gaps by cell and metric", rows, note, EXPLORATORY_COLUMNS)
