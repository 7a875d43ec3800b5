"""Ctrl-C and SIGTERM: both end a run with exit status 130 at any point. Imports only click."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click

INTERRUPTED = 130


@dataclass
class Stop:
    """Whether a signal has requested a stop. A flag, since a library may swallow the KeyboardInterrupt."""

    requested: bool = False

    def check(self) -> None:
        """Raise KeyboardInterrupt if a stop was requested."""
        if self.requested:
            raise KeyboardInterrupt


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Handle SIGINT and SIGTERM inside the block: they raise KeyboardInterrupt, and the block ends the process with
    exit status 130 and one line.
    """
    stop = Stop()

    def on_signal(*_: object) -> None:
        stop.requested = True
        raise KeyboardInterrupt

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    except BaseException:
        # An interrupted import or call may raise another exception instead.
        if not stop.requested:
            raise
        click.echo("Stopped. Finished jobs are kept; rerun the same command to resume.")
        sys.exit(INTERRUPTED)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
