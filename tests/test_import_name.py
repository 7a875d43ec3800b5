"""What is installed has one import name, whatever lies in the folder where the user works."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COMMON = ("grid", "analysis", "trainables", "images", "records", "tests")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A research project with modules of the most common names, each of which ends whoever imports it."""
    for name in COMMON:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module was imported')\n")
    return tmp_path


def python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_a_notebook_beside_modules_of_the_same_names_imports_ours(folder: Path) -> None:
    """Like a notebook, `-c` has the working folder first on the path."""
    names = ["salun_grid.grid.specs", "salun_grid.analysis.gaps", "salun_grid.trainables.methods"]
    done = python(folder, "-c", f"import sys, {', '.join(names)}; [print(sys.modules[n].__file__) for n in {names}]")
    assert done.returncode == 0, done.stderr
    files = [Path(line).resolve() for line in done.stdout.splitlines()]
    assert len(files) == len(names) and all(file.is_relative_to(ROOT) for file in files), files


@pytest.mark.slow
@pytest.mark.parametrize("words", [("grid", "methods"), ("analysis", "metrics", "--list")])
def test_the_commands_run_there(words: tuple[str, ...], folder: Path) -> None:
    done = python(folder, "-m", f"salun_grid.{words[0]}", *words[1:])
    assert done.returncode == 0 and "wrong module" not in done.stderr, done.stderr


@pytest.mark.ray
def test_the_workers_run_there(folder: Path) -> None:
    words = (
        "run digits --epochs 1 --unlearning-epochs 1 --set model.width=8 --seed 0 --forget-rate 0.1 --augmentation none"
    )
    done = python(folder, "-m", "salun_grid.grid", *words.split(), "--method", "retrain", "--quiet", "--out", "out")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((folder / "out" / "results" / "runs").glob("*.parquet"))) == 1


def test_every_module_is_imported_by_that_name() -> None:
    """An import by a folder's own name would work in a checkout, and make a second copy of the module."""
    sources = [
        path
        for package in ("grid", "analysis", "trainables", "images", "records", "benchmarks")
        for path in (ROOT / package).rglob("*.py")
    ]
    for path in sources:
        for line in path.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if words[:1] in (["from"], ["import"]):
                assert words[1].partition(".")[0] not in COMMON[:4], f"{path}: {line}"
