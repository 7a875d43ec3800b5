"""Labels of forget sets, `RULE:PARAMETER`, as in the column `forget`."""

from salun_grid.records.text import natural_order, printable

RANDOM = "random"
# Rules with uniform draws from the train split: the retrain of one set is a reference model for the others.
EXCHANGEABLE = frozenset({RANDOM})


def forget_name(label: str) -> str:
    """The display name of a forget set: `10%` for `random:0.1`, else rule and parameter, such as `class 3`."""
    rule, _, parameter = label.partition(":")
    if rule == RANDOM:
        return percent(float(parameter))
    return printable(f"{rule} {parameter}".strip())


def forget_order(label: str) -> tuple:
    """A sort key: uniform draws first, then by rule, then by parameter value."""
    rule, _, parameter = label.partition(":")
    return rule != RANDOM, rule, float(parameter) if rule == RANDOM else 0.0, natural_order(parameter)


def random_label(rate: float) -> str:
    """The label of a uniform draw, for rows of a schema version that has only the rate."""
    return f"{RANDOM}:{rate!r}"


def is_forget_label(label: str) -> bool:
    """Whether `label` is a rule with a parameter, which for a uniform draw must be a fraction."""
    rule, colon, parameter = label.partition(":")
    try:
        return bool(rule and colon) and (rule != RANDOM or 0 < float(parameter) < 1)
    except ValueError:
        return False


def reference_group(label: str) -> str:
    """A value that is equal for forget sets whose retrains are reference models for each other.

    A model trained without a whole class is no reference for uniform draws, so such a forget set is its own group.
    """
    rule = label.partition(":")[0]
    return rule if rule in EXCHANGEABLE else label


def percent(rate: float) -> str:
    """A fraction in percent: `10%`, `12.5%`."""
    return f"{100 * rate:g}%"
