"""`python -m benchmarks.agreement METHOD --official CHECKOUT`: compare a method with its authors' code."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.agreement import COMPARISONS
from benchmarks.agreement.comparison import compare, unexplained
from salun_grid.records.errors import InputError, unknown_choice


def main(given: list[str] | None = None) -> int:
    """Exit status: 0 if both agree up to documented departures, 1 if they differ, 2 for a bad argument."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description=__doc__)
    parser.add_argument("method", metavar="METHOD", help=f"one of {', '.join(COMPARISONS)}")
    parser.add_argument(
        "--official", metavar="CHECKOUT", type=Path, required=True, help="checkout of the authors' repository"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="save the record in FILE, by method")
    arguments = parser.parse_args(given)
    try:
        if arguments.method not in COMPARISONS:
            raise unknown_choice("method", arguments.method, list(COMPARISONS))
        record = compare(arguments.method, COMPARISONS[arguments.method], arguments.official)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(shown(record))
    if arguments.json:
        keep(record, arguments.json)
    return 1 if unexplained(record) else 0


def shown(record: dict[str, Any]) -> str:
    """A record as text."""
    lines = [f"{record['method']}: {record['repository']} at {record['commit']}", f"code: {', '.join(record['files'])}"]
    lines.append("largest relative difference:")
    for one in record["measured"]:
        lines.append(
            f"  {one['difference']:.1e}  {one['quantity']}" + (f" ({one['departs']})" if one["departs"] else "")
        )
    for title in ("adaptations", "departures"):
        if record[title]:
            lines += [f"{title}:", *(f"  - {text}" for text in record[title])]
    if differing := unexplained(record):
        lines.append(f"DIFFERS, for no documented reason: {', '.join(differing)}")
    return "\n".join(lines)


def keep(record: dict[str, Any], file: Path) -> None:
    """Save the record in a JSON file of records by method."""
    records = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    records[record["method"]] = record
    text = json.dumps(dict(sorted(records.items())), indent=1, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
