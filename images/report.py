"""What a command of `salun-grid data` prints."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Report:
    """The lines of the output, and the warnings, each one sentence."""

    lines: list[str]
    warnings: list[str]
