"""User-facing errors and warnings, and the formatting of user input in messages."""

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

# Characters of a value shown in a message, and choices listed in one.
MAX_SHOWN, MAX_CHOICES = 60, 24


class InputError(ValueError):
    """Invalid user input: a value, a file or a folder. The message says what is wrong and how to fix it."""


class ResultsWarning(UserWarning):
    """Damaged results that are left out; the message names them."""


class UndefinedError(ValueError):
    """A metric is undefined for these predictions; the message gives the reason and is shown instead of a number."""


class Diverged(ArithmeticError):
    """A loss is no longer finite; the message says where, and what to change."""


def unknown_choice(what: str, given: str, choices: list[str], listed_by: str = "") -> InputError:
    """An `InputError` for a name that is not one of `choices`; it suggests the nearest one.

    `listed_by` is a command that lists them, if they are too many for the message.
    """
    near = nearest(given, choices)
    hint = f" Did you mean {near!r}?" if near else ""
    more = f" and {len(choices) - MAX_CHOICES} more" if len(choices) > MAX_CHOICES else ""
    listed = f"`{listed_by}` lists them" if listed_by else f"Choose from: {', '.join(choices[:MAX_CHOICES])}{more}"
    return InputError(f"unknown {what} {shown(given)}.{hint} {listed}.")


def nearest(given: str, choices: list[str]) -> str:
    """The choice nearest to `given` by initials, such as `lr` for `learning_rate`, or spelling; "" if there is none."""
    owner, _, last = given.lower().rpartition(".")
    for choice in choices:
        prefix, _, name = choice.lower().rpartition(".")
        if prefix == owner and "_" in name and last == "".join(word[:1] for word in name.split("_")):
            return choice
    lowered = {choice.lower(): choice for choice in choices}
    within = [choice for choice in lowered if owner and choice.startswith(f"{owner}.")]
    for pool in (within, list(lowered)):
        if near := get_close_matches(given.lower()[:MAX_SHOWN], pool, n=1, cutoff=0.6):
            return lowered[near[0]]
    return ""


def shown(value: object) -> str:
    """A value for a message: its repr, with control characters escaped, truncated to MAX_SHOWN."""
    try:
        text = repr(value)
    except RecursionError:
        text = f"a deeply nested {type(value).__name__}"
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add `path` to an OSError; a write to a full disk raises one without a path."""
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from None
