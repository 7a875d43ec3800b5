"""An environment without the packages of an extra."""

import subprocess
import sys

from salun_grid.grid.cli import GRID_PACKAGES

# Runs the command line in a process in which the packages of the extra `grid` cannot be found.
WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {packages!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
from salun_grid.grid.cli import main
main()
"""


def without_extra(*words: object, packages: frozenset[str] = frozenset(GRID_PACKAGES)) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", WITHOUT.format(packages=set(packages)), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
