"""The README's tree is the tree, and the commands in it exist."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from salun_grid.analysis.cli import main as salun_analysis
from salun_grid.grid.cli import main as salun_grid

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = {"salun-grid": salun_grid, "salun-analysis": salun_analysis}


@pytest.mark.parametrize("package", ["analysis", "benchmarks", "grid", "trainables"])
def test_every_module_has_its_phrase_and_no_phrase_its_module(package: str) -> None:
    paths = [path for path in (ROOT / package).rglob("*.py") if not path.name.startswith("__")]
    section = README[README.index(f"\n{package}/") :].split("\n\n")[0].split("\n```")[0]
    section = re.split(r"\n(?=\S)", section[1:])[0]
    assert sorted(re.findall(r"^ +(\w+\.py) +\S+ ", section, re.MULTILINE)) == sorted(path.name for path in paths)


@pytest.mark.parametrize("words", sorted(set(re.findall(r"(salun-(?:grid|analysis)) ([a-z-]+)", README))))
def test_every_command_named_exists(words: tuple[str, str]) -> None:
    program, command = words
    assert CliRunner().invoke(COMMANDS[program], [command, "--help"]).exit_code == 0


def test_local_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
