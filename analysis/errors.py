"""The errors of the analysis: what a user can get wrong, and what a metric cannot say."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class ResultsError(ValueError):
    """The results cannot be read or do not answer the question; the message says why and what to do."""


class ResultsWarning(UserWarning):
    """Something in the results is damaged and left out; the message names it."""


class UndefinedError(ValueError):
    """A metric has no value for these predictions; the message says why. Stands in the place of a number."""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Lets an OSError name `path`; that of a write to a full disk names none."""
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from None
