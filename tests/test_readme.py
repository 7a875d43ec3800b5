"""The commands and links of the README exist, and docs/architecture.md names every folder."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from salun_grid.analysis.cli import main as salun_analysis
from salun_grid.grid.cli import main as salun_grid

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = {"salun-grid": salun_grid, "salun-analysis": salun_analysis}


ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def folders_without_a_line(text: str) -> set[str]:
    """Packages that no line of the table of folders names, and lines that name no folder."""
    named = set(re.findall(r"^\| `([a-z_/]+)/` \| \S", text, re.MULTILINE))
    packages = {str(path.parent.relative_to(ROOT)) for path in ROOT.rglob("[!.]*/__init__.py") if is_ours(path)}
    return {folder for folder in packages if folder not in named and not folder.startswith("tests/")} | {
        folder for folder in named if not (ROOT / folder).is_dir()
    }


def is_ours(path: Path) -> bool:
    """Whether a module is neither an installed one nor reached through a link of salun_grid."""
    parts = path.relative_to(ROOT).parts
    return not parts[0].startswith(".") and (parts[0] != "salun_grid" or len(parts) == 2)


def test_the_page_of_the_architecture_names_every_folder() -> None:
    assert folders_without_a_line(ARCHITECTURE) == set()


@pytest.mark.parametrize("line", re.findall(r"^\| `[a-z_/]+/` .*\n", ARCHITECTURE, re.MULTILINE))
def test_a_missing_folder_is_seen(line: str) -> None:
    if not line.startswith("| `tests"):
        assert folders_without_a_line(ARCHITECTURE.replace(line, ""))
    assert folders_without_a_line(ARCHITECTURE + "| `nowhere/` | nothing |\n") == {"nowhere"}


@pytest.mark.parametrize("words", sorted(set(re.findall(r"(salun-(?:grid|analysis)) ([a-z-]+)", README))))
def test_every_command_named_exists(words: tuple[str, str]) -> None:
    program, command = words
    assert CliRunner().invoke(COMMANDS[program], [command, "--help"]).exit_code == 0


def test_local_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
