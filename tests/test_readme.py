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


# Of the tests, the tree names the folder alone.
PACKAGES = sorted(path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name != "tests")


def tree_lines(text: str) -> list[str]:
    """The lines of the README's tree, without the empty ones."""
    (block,) = re.findall(r"^## The tree\n\n```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line for line in block.splitlines() if line]


def paths_in(lines: list[str]) -> list[str]:
    """What the lines name, with the folders around it; raises where a line has no phrase."""
    folders: list[str] = []
    paths = []
    for line in lines:
        indent, name = re.fullmatch(r"( *)(\S+) +\S.*", line).groups()
        folders = [*folders[: len(indent) // 2], name.removesuffix("/")]
        paths.append("/".join(folders))
    return paths


def differences(lines: list[str]) -> set[str]:
    """Packages, their folders and modules that are not named once, and names of nothing."""
    found = paths_in(lines)
    modules = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    modules += [path.parent for path in modules if path.name == "__init__.py"]
    wanted = {str(path.relative_to(ROOT)) for path in modules if not path.name.startswith("__")} | {"tests"}
    unknown = {path for path in found if not (ROOT / path).exists()}
    return (wanted - set(found)) | unknown | {path for path in found if found.count(path) > 1}


def test_the_tree_names_every_module_and_nothing_else() -> None:
    assert differences(tree_lines(README)) == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_a_line_that_is_missing_or_wrong_is_seen(package: str) -> None:
    lines = tree_lines(README)
    start = lines.index(next(line for line in lines if line.startswith(f"{package}/")))
    end = next((n for n in range(start + 1, len(lines)) if not lines[n].startswith(" ")), len(lines))
    for number in range(start, end):
        assert differences([*lines[:number], *lines[number + 1 :]]), f"without {lines[number]!r}"
    module = lines[start + 1]
    assert differences([*lines, module]), "a module in another folder"
    assert differences([*lines[: start + 2], module, *lines[start + 2 :]]), "a module twice"
    with pytest.raises(AttributeError):
        paths_in([module.split()[0]])


@pytest.mark.parametrize("words", sorted(set(re.findall(r"(salun-(?:grid|analysis)) ([a-z-]+)", README))))
def test_every_command_named_exists(words: tuple[str, str]) -> None:
    program, command = words
    assert CliRunner().invoke(COMMANDS[program], [command, "--help"]).exit_code == 0


def test_local_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
