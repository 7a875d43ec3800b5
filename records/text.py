"""Sanitising of text from files or users for a terminal, a page, a figure or a spreadsheet."""

import re
from collections.abc import Mapping
from typing import Any

# Control characters (C0, DEL, C1), line and paragraph separators, bidirectional controls and lone surrogates: they
# move the cursor, fake a line, reverse the following text, or cannot be encoded.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# The columns of `runs` and `epochs` that are displayed. JSON columns are parsed, not displayed.
_SHOWN = frozenset(
    {"study", "dataset", "augmentation", "forget", "method", "protocol", "model", "device_name", "precision", "command"}
    | {"code_version", "torch_version", "ray_version", "probe", "metric", "unit", "note"}
)

# First characters of a formula; `printable` has already escaped a leading tab or line break.
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
# A number, alone or followed by its spread, interval or gap in brackets, as in the tables.
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?%?( [±\[(][-+±\d.,; \[\]()]*)?")


def printable(text: str) -> str:
    r"""`text` with each control character as its escape, such as `\x1b` or `\n`; other text is unchanged."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def printable_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `runs` or `epochs` whose shown columns are `printable`."""
    shown = {name: printable(row[name]) for name in _SHOWN if isinstance(row.get(name), str)}
    return {**row, **shown}


def natural_order(text: str) -> list[tuple[bool, float, str]]:
    """A sort key that orders numbers within names by value: `epochs=9` before `epochs=10`."""
    parts = re.split(r"(\d+(?:\.\d+)?(?:e[-+]?\d+)?)", text)
    return [(False, float(part), "") if i % 2 else (True, 0.0, part) for i, part in enumerate(parts)]


def spreadsheet_cell(text: str) -> str:
    """A `printable` CSV cell that no spreadsheet executes: an apostrophe precedes text that looks like a formula.

    Numbers, alone or with their spread, are unchanged.
    """
    text = printable(text)
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text
