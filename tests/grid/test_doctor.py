"""`salun-grid doctor`: ten lines on a sound machine, and a sentence for each thing that will not work."""

import os
import platform
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from salun_grid.grid import doctor
from salun_grid.grid.cli import main
from salun_grid.grid.doctor import CHECKS, Finding, findings
from tests.support.installs import without_extra
from tests.support.processes import grid_command


def report(monkeypatch: pytest.MonkeyPatch, *names: str) -> Result:
    """The report of some checks alone."""
    monkeypatch.setattr(doctor, "CHECKS", {name: CHECKS[name] for name in names})
    return CliRunner().invoke(main, ["doctor"])


@pytest.mark.ray
def test_a_sound_machine_has_a_line_for_each_check_and_no_problem() -> None:
    """As a user runs it, and with a Ray that really starts."""
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    found = subprocess.run(grid_command("doctor"), capture_output=True, text=True, env=environment, timeout=180)
    assert (found.returncode, found.stderr) == (0, "")
    lines = found.stdout.splitlines()
    assert [line.split("  ")[0].strip() for line in lines] == list(CHECKS)
    text = found.stdout
    assert f"Python {platform.python_version()}, torch 2." in text
    assert "channels_last for ResNet-18 of width 64" in text
    assert "started and ran a task in" in text
    assert "RAY_ADDRESS unset" in text


def test_the_limit_of_onednn_and_the_kernels_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert "oneDNN limited to AVX2" in report(monkeypatch, "processor").stdout


def test_a_temporary_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    result = report(monkeypatch, "temporary")
    assert result.exit_code == 1
    assert f"Problem: TMPDIR is {tmp_path / 'none'}, which is not writable" in result.stderr


def test_a_long_temporary_folder_gives_way_to_a_short_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.setattr(doctor.tempfile, "tempdir", None)
    result = report(monkeypatch, "temporary")
    assert result.exit_code == 0
    assert f"{long}; Ray's session in /tmp" in result.stdout


@pytest.mark.parametrize("what", ["a file", "a folder"])
def test_where_medmnist_is_looked_for(what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = tmp_path / "root"
    if what == "a file":
        root.write_text("")
    else:
        root.mkdir()
        (root / "bloodmnist_64.npz").write_bytes(b"")
    monkeypatch.setenv("MEDMNIST_ROOT", str(root))
    result = report(monkeypatch, "MedMNIST")
    if what == "a file":
        assert result.exit_code == 1 and "MEDMNIST_ROOT must be a folder" in result.stderr
    else:
        assert result.exit_code == 0 and f"bloodmnist_64.npz in {root}" in result.stdout


def test_little_memory_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "SMALL_GIB", 1e6)
    result = report(monkeypatch, "memory")
    assert result.exit_code == 1 and "GiB of memory is free; close other programs" in result.stderr


def test_a_ray_that_does_not_start_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def refuse(**_: object) -> None:
        raise RuntimeError("no room\nfor a raylet")

    monkeypatch.setattr(ray, "init", refuse)
    result = report(monkeypatch, "local Ray", "system")
    assert result.exit_code == 1
    assert "local Ray  unknown" in result.stdout and "system     " in result.stdout
    assert "Ray did not start in" in result.stderr and "no room for a raylet" in result.stderr
    assert "Traceback" not in result.output and len(result.stderr.splitlines()) == 1


def test_a_check_that_raises_is_a_problem_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> tuple[str, str]:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(doctor, "CHECKS", {"disk": fail, "fine": lambda: ("good", "")})
    broken, fine = findings()
    assert fine == Finding("fine", "good")
    assert "Input/output error" in broken.problem


def test_a_base_install_says_what_is_missing() -> None:
    """Without torch and Ray the report still comes, and names the extra."""
    found = without_extra("doctor")
    assert found.returncode == 1
    assert len(found.stdout.splitlines()) == len(CHECKS)
    assert "Traceback" not in found.stderr
    assert "Problem: torch is missing; pip install '.[grid]' in a checkout of salun-grid." in found.stderr
