"""`python -m benchmarks.agreement.page`: generate docs/agreement.md from the records in docs/agreement.json."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.agreement.uncompared import UNCOMPARED
from benchmarks.measure import table

DOCS = Path(__file__).parents[2] / "docs"
RECORDS, PAGE = DOCS / "agreement.json", DOCS / "agreement.md"
INTRODUCTION = """# Agreement with the authors' code

Each method compared with its authors' code, from the same weights, images, batches and labels, in float64 on the CPU.
To rerun a row, clone the repository at its commit and run

```
python -m benchmarks.agreement METHOD --official CHECKOUT --json docs/agreement.json
python -m benchmarks.agreement.page
```

The numbers below were measured with {environment}.
The model is a ResNet-18 of width 4 to 12, trained for three epochs on 104 to 1,040 random images of 8 or 12 px in ten
classes. A difference is the largest |ours − official| of a tensor over its largest |official|, over all tensors; for
weights, of their change. Below {limit:g} both sides compute the same, up to rounding. A difference in italics is a
departure, with its reason.

The authors' code is no part of this project. It is imported from the checkout, and what it needs to run here is done
around it: the column of adaptations lists that. In every row `.cuda()`, `.to("cuda")` and `.float()` have no effect.
"""


def page(records: Mapping[str, Any]) -> str:
    """The page: an introduction, a table of the compared methods, and a list of the others."""
    from benchmarks.agreement.comparison import AGREES_BELOW

    found = {described(record["environment"]) for record in records.values()}
    blocks = [INTRODUCTION.format(environment="; ".join(sorted(found)), limit=AGREES_BELOW).strip()]
    header = [
        "method",
        "repository, commit",
        "compared: largest relative difference",
        "adaptations",
        "known departures",
    ]
    blocks.append(table(header, [row(record) for record in records.values()]))
    blocks.append("## Not compared")
    blocks.append("\n".join(f"- `{name}`: {reason}." for name, reason in UNCOMPARED.items()))
    return "\n\n".join(blocks) + "\n"


def described(environment: Mapping[str, str]) -> str:
    return (
        f"PyTorch {environment['torch']} and Python {environment['python']} on one core of {environment['processor']}"
    )


def row(record: Mapping[str, Any]) -> list[str]:
    repository, commit = record["repository"], record["commit"]
    source = (
        f"[{repository.removeprefix('https://github.com/')}]({repository}), `{commit[:10]}`: {coded(record['files'])}"
    )
    differences = "; ".join(map(measured, record["measured"]))
    return [f"`{record['method']}`", source, differences, listed(record["adaptations"]), listed(record["departures"])]


def measured(one: Mapping[str, Any]) -> str:
    text = f"{one['quantity']}: {one['difference']:.1e}" if one["difference"] else f"{one['quantity']}: 0"
    return f"*{text}*, as {one['departs']}" if one["departs"] else text


def coded(files: list[str]) -> str:
    return ", ".join(f"`{file}`" for file in files)


def listed(texts: list[str]) -> str:
    return "; ".join(text.replace("|", "\\|") for text in texts) or "–"


def main() -> int:
    PAGE.write_text(page(json.loads(RECORDS.read_text(encoding="utf-8"))), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
