"""Errors and warnings that a user reads, and how a message shows what the user gave."""

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

# Characters of a value that a message repeats, and choices that it lists.
MAX_SHOWN, MAX_CHOICES = 60, 24


class InputError(ValueError):
    """Something the user gave is wrong: a value, a file, a folder. The message says what, and what to do instead."""


class ResultsWarning(UserWarning):
    """Something in the results is damaged and left out; the message names it."""


class UndefinedError(ValueError):
    """A metric has no value for these predictions; the message says why and replaces the number."""


class Diverged(ArithmeticError):
    """A loss stopped being a number; the message says where, and what to do."""


def unknown_choice(what: str, given: str, choices: list[str], listed_by: str = "") -> InputError:
    """An `InputError` for a name that is not among `choices`; it names the nearest one.

    `listed_by` is the command that lists them, for where they are many.
    """
    near = nearest(given, choices)
    hint = f" Did you mean {near!r}?" if near else ""
    more = f" and {len(choices) - MAX_CHOICES} more" if len(choices) > MAX_CHOICES else ""
    listed = f"`{listed_by}` lists them" if listed_by else f"Choose from: {', '.join(choices[:MAX_CHOICES])}{more}"
    return InputError(f"unknown {what} {shown(given)}.{hint} {listed}.")


def nearest(given: str, choices: list[str]) -> str:
    """The choice that `given` may have meant, or "": by its initials, as `lr` for `learning_rate`, or its spelling."""
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
    """A value in a message: its repr, in which control characters are escaped, cut where it is long."""
    try:
        text = repr(value)
    except RecursionError:
        text = f"a deeply nested {type(value).__name__}"
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an OSError name `path`; the one of a write to a full disk names none."""
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from None
