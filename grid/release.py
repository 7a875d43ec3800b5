"""The version of this program, with the commit in a checkout. Uses only the standard library."""

import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path


@cache
def code_version() -> str:
    """The package version and, in a checkout, the commit (`+dirty` if files differ from it)."""
    root = Path(__file__).resolve().parent.parent  # through the link of salun_grid
    release = version("salun-grid")
    if not (root / ".git").exists():
        return release
    try:
        ask = ["git", "-C", str(root), "describe", "--always", "--dirty=+dirty", "--exclude=*"]
        commit = subprocess.run(ask, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return release
    return f"{release}+g{commit}"
