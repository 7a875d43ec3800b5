"""The version that every row carries."""

import re
import subprocess
from importlib.metadata import version
from pathlib import Path

from salun_grid.grid.release import code_version

ROOT = Path(__file__).parents[2]


def test_a_checkout_names_its_commit() -> None:
    """Modules are imported through the links of salun_grid, which lie one folder deeper than the code."""
    ask = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    commit = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    found = re.fullmatch(rf"{re.escape(version('salun-grid'))}\+g([0-9a-f]+)(\+dirty)?", code_version())
    assert found and commit.startswith(found[1])
