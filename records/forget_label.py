"""Forget sets by their labels, `RULE:PARAMETER`, as the column `forget` has them."""

from salun_grid.records.text import natural_order, printable

RANDOM = "random"
# Rules whose sets are uniform draws of the train split: a model without one of them is a reference for the others.
EXCHANGEABLE = frozenset({RANDOM})


def forget_name(label: str) -> str:
    """A forget set for a person: `10%` for `random:0.1`, else rule and parameter, as `class 3`."""
    rule, _, parameter = label.partition(":")
    if rule == RANDOM:
        return percent(float(parameter))
    return printable(f"{rule} {parameter}".strip())


def forget_order(label: str) -> tuple:
    """A sort key: uniform draws first, then rule by rule, parameters by value."""
    rule, _, parameter = label.partition(":")
    return rule != RANDOM, rule, float(parameter) if rule == RANDOM else 0.0, natural_order(parameter)


def random_label(rate: float) -> str:
    """The label of a uniform draw, for rows whose version has the rate alone."""
    return f"{RANDOM}:{rate!r}"


def is_forget_label(label: str) -> bool:
    """Whether `label` is a rule and its parameter, of a uniform draw a fraction."""
    rule, colon, parameter = label.partition(":")
    try:
        return bool(rule and colon) and (rule != RANDOM or 0 < float(parameter) < 1)
    except ValueError:
        return False


def reference_group(label: str) -> str:
    """Equal for forget sets whose retrains may serve each other as reference models.

    A model that never saw a whole class says of its images what no model of a uniform draw says, so that such a set is
    a group of its own.
    """
    rule = label.partition(":")[0]
    return rule if rule in EXCHANGEABLE else label


def percent(rate: float) -> str:
    """A fraction for a person: `10%`, `12.5%`."""
    return f"{100 * rate:g}%"
