"""Shared by both command lines: errors as one sentence, output safe in any encoding, no library warnings."""

import io
import logging
import sys
import warnings
from typing import Any

import click

from salun_grid.records.errors import InputError, ResultsWarning
from salun_grid.records.text import printable

MAX_CHARACTERS = 1200  # of a message


class Commands(click.Group):
    """Report an InputError as one sentence with exit status 2; end silently if the output pipe is closed."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        prepare_output()
        return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except InputError as error:
            raise click.UsageError(shortened(printable(str(error)))) from None
        except BrokenPipeError:
            raise  # click exits with its usual status, 1
        except OSError as error:
            raise click.UsageError(printable(f"cannot write {error.filename}: {error.strerror}.")) from None


def shortened(text: str) -> str:
    """`text`, with the middle left out if it is long, for example if it quotes a path of thousands of characters."""
    return text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS // 2]} … {text[-MAX_CHARACTERS // 2 :]}"


def prepare_output() -> None:
    """Make output safe in any encoding and silence library warnings; `-W` and PYTHONWARNINGS still apply."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    warnings.simplefilter("ignore", append=True)  # last, so that any other filter takes precedence
    warnings.filterwarnings("always", category=ResultsWarning)
    warnings.showwarning = show_warning
    if logging.lastResort:
        logging.lastResort.setLevel(logging.ERROR)


def show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    """Print a warning as one line on standard error, without the source location."""
    text = str(message) if category is ResultsWarning else warnings.formatwarning(message, category, filename, lineno)
    click.echo(printable(f"Warning: {text}".strip()), err=True)
