"""Labels of forget sets, `RULE:PARAMETER`, as in the column `forget`."""

from salun_grid.records.text import natural_order, printable

RANDOM, GROUP = "random", "group"
# Rules with uniform draws, of train images or of their groups: the retrain of one set is a reference model for others.
EXCHANGEABLE = frozenset({RANDOM, GROUP})


def forget_name(label: str) -> str:
    """The display name of a forget set: `10%` for `random:0.1`, else rule and parameter, such as `class 3`."""
    rule, _, parameter = label.partition(":")
    if rule == RANDOM:
        return percent(float(parameter))
    if rule == GROUP and _is_rate(parameter):
        return f"{percent(float(parameter))} of groups"
    if rule == GROUP and "#" in parameter:
        count, _, digits = parameter.partition("#")
        return printable(f"{count} group{'s' * (count != '1')} #{digits}")
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
    return bool(rule and colon) and (rule != RANDOM or _is_rate(parameter))


def reference_group(label: str) -> str:
    """A value that is equal for forget sets whose retrains are reference models for each other.

    A model trained without a whole class is no reference for uniform draws, and neither is one trained without whole
    groups: a model that forgot single images still saw others of their groups. A fixed forget set is its own group.
    """
    rule, _, parameter = label.partition(":")
    return rule if rule in EXCHANGEABLE and _is_rate(parameter) else label


def _is_rate(parameter: str) -> bool:
    try:
        return 0 < float(parameter) < 1
    except ValueError:
        return False


def percent(rate: float) -> str:
    """A fraction in percent: `10%`, `12.5%`."""
    return f"{100 * rate:g}%"
