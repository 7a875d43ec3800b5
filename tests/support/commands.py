"""Calls of `salun-analysis` within the test's process."""

from pathlib import Path

from click.testing import CliRunner, Result

from salun_grid.analysis import cli


def call(*words: object) -> Result:
    return CliRunner().invoke(cli.main, [str(word) for word in words])


def contents(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def check_mistake(result: Result, *words: str) -> None:
    """One sentence on stderr after `Error:`, exit status 2, and nothing else went wrong."""
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    *_, last = result.stderr.strip().splitlines()
    assert result.stderr.count("Error:") == 1
    assert last.startswith("Error: ")
    assert last.endswith((".", "'?"))
    assert "None" not in last
    for word in words:
        assert word in last
