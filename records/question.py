"""The primary question of a study, declared before it runs: what is tested, within which margin, on which methods."""

from dataclasses import asdict, dataclass
from typing import Any

from salun_grid.records.errors import InputError, shown, unknown_choice

# The attack in the fourth gap of the average, and what it is.
ATTACKS = {
    "auc": "100 × AUC of the loss attack on the forgotten images against the val split",
    "mia": "the paper's SVC attack",
}
MAX_MARGIN_POINTS = 100.0


@dataclass(frozen=True)
class Question:
    """Is a method's average gap (AG) below the no-op's, and within the margin of a second retraining's?

    `attack` is one of ATTACKS: the AG averages the gaps of UA, RA, TA and this. `margin_points` is the largest excess
    AG, in percentage points, that counts as equivalent to retraining. `methods` is the family: the p values are
    corrected for all of these, also for those without a result, so no later table changes it; empty where nothing was
    declared.
    """

    attack: str = "auc"
    margin_points: float = 1.0
    methods: tuple[str, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics whose gaps the AG averages."""
        return ("ua", "ra", "ta", self.attack)

    def as_json(self) -> dict[str, Any]:
        """A JSON object that `parse` reads."""
        return asdict(self) | {"methods": list(self.methods)}

    @classmethod
    def parse(cls, found: Any) -> "Question | None":
        """The question in a JSON object, None for anything else."""
        try:
            methods = found["methods"]
            if not isinstance(methods, list) or not all(isinstance(name, str) for name in methods):
                return None
            return checked(cls(found["attack"], found["margin_points"], tuple(methods)))
        except (InputError, KeyError, TypeError):
            return None


def checked(question: Question) -> Question:
    """`question` itself. Raises InputError for an unknown attack or an impossible margin."""
    if question.attack not in ATTACKS:
        raise unknown_choice("attack of the question", str(question.attack), list(ATTACKS))
    margin = question.margin_points
    if isinstance(margin, bool) or not isinstance(margin, int | float) or not 0 < margin <= MAX_MARGIN_POINTS:
        raise InputError(
            f"the margin of the question must be above 0 and at most {MAX_MARGIN_POINTS:g} points, not {shown(margin)}."
        )
    return question
