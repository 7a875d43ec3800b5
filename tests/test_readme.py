"""The README's tree is the tree, and the commands in it exist."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from analysis.cli import main as salun_analysis
from grid.cli import main as salun_grid

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = {"salun-grid": salun_grid, "salun-analysis": salun_analysis}


@pytest.mark.parametrize("package", ["analysis", "benchmarks", "grid", "trainables"])
def test_every_module_has_its_phrase(package: str) -> None:
    modules = [path.name for path in sorted((ROOT / package).glob("*.py")) if not path.name.startswith("__")]
    section = README[README.index(f"\n{package}/") :]
    for module in modules:
        assert re.search(rf"^ +{re.escape(module)} +\S+ \S+", section, re.MULTILINE), f"{package}/{module}"


@pytest.mark.parametrize("words", sorted(set(re.findall(r"(salun-(?:grid|analysis)) ([a-z]+)", README))))
def test_every_command_named_exists(words: tuple[str, str]) -> None:
    program, command = words
    assert CliRunner().invoke(COMMANDS[program], [command, "--help"]).exit_code == 0


def test_local_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
