"""Runs the tests that need a GPU in a pytest process and counts the outcomes.

This module is also the pytest plugin that selects them: tests whose `skipif` reason mentions a GPU. The collected
modules work without Ray.
"""

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.gpu_machine import ROOT

SKIPPED_WITHOUT_CUDA = "skipif(not torch.cuda.is_available()"


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """Keep only the tests that are skipped without a GPU."""
    chosen = [item for item in items if needs_gpu(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen


def needs_gpu(item: Any) -> bool:
    return any("GPU" in mark.kwargs.get("reason", "") for mark in item.iter_markers("skipif"))


def files_with_gpu_tests() -> list[Path]:
    """The files to collect; others may import Ray, which need not be installed."""
    paths = sorted((ROOT / "tests").rglob("test_*.py"))
    return [path for path in paths if SKIPPED_WITHOUT_CUDA in path.read_text(encoding="utf-8")]


def run_tests(seconds_left: float) -> dict[str, Any]:
    """The number of tests per outcome, the failures with their messages, and the last lines of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, "junit.xml")
        # Warnings of other library versions are not failures of the code under test.
        options = ["-q", "-W", "default", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
        command = [sys.executable, "-m", "pytest", "-p", "benchmarks.gpu_tests", *options, f"--junitxml={written}"]
        files = [str(path.relative_to(ROOT)) for path in files_with_gpu_tests()]
        done = subprocess.run(
            [*command, *files], cwd=ROOT, capture_output=True, text=True, timeout=max(seconds_left, 1)
        )
        if not written.exists():
            raise RuntimeError((done.stderr or done.stdout).strip()[-500:])
        counts, failures = outcomes(written)
    return {"counts": counts, "failures": failures, "tail": done.stdout.strip().splitlines()[-3:]}


def outcomes(junit: Path) -> tuple[dict[str, int], dict[str, str]]:
    """Counts per outcome, and the message of each failure or error, from pytest's JUnit file."""
    counts: Counter[str] = Counter(passed=0, failed=0, skipped=0)
    failures = {}
    for case in ElementTree.parse(junit).iter("testcase"):
        found = {child.tag: child for child in case}
        broken = next((found[tag] for tag in ("failure", "error") if tag in found), None)
        if broken is not None:
            counts["failed"] += 1
            failures[f"{case.get('classname')}.{case.get('name')}"] = (broken.get("message") or "")[:300]
        else:
            counts["skipped" if "skipped" in found else "passed"] += 1
    return dict(counts), failures
