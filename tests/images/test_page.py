"""docs/own_images.md: its commands and its script run, and its tables name what there is."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from salun_grid.grid.data_cli import data
from salun_grid.trainables.data import describe
from tests.support.dicom_files import write_dicom
from tests.support.pictures import arrays_of, noise, salun_grid_data, write_picture

PAGE = (Path(__file__).parents[2] / "docs" / "own_images.md").read_text(encoding="utf-8")
(SCRIPT,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"^salun-grid data (.*)$", PAGE, re.MULTILINE)


def checked(path: Path) -> str:
    done = salun_grid_data("check", path)
    assert done.exit_code == 0 and done.stderr == "", done.output
    return done.stdout


def test_the_script_makes_a_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for i in range(90):
        write_picture(tmp_path / "scans" / ("ill" if i % 2 else "well") / f"P{i // 3}" / f"{i}.png", i)
    exec(compile(SCRIPT, "docs/own_images.md", "exec"), {})
    info = describe("scans.npz", 0)
    assert info.num_images == {"train": 60, "val": 12, "test": 18} and info.image_size == 64
    assert "patients           20          4          6" in checked(Path("scans.npz"))
    assert 15 <= len(SCRIPT.strip().splitlines()) <= 25


def test_the_layout_of_the_page_is_what_an_import_writes(tmp_path: Path) -> None:
    rows = ["image,label,patient"]
    for i in range(30):
        rows.append(f"{write_picture(tmp_path / f'{i}.png', i).name},{'ab'[i % 2]},P{i}")
    (tmp_path / "t.csv").write_text("\n".join(rows))
    words = ("--labels", tmp_path / "t.csv", "--patient-column", "patient", "--out", tmp_path / "a.npz")
    assert salun_grid_data("import", *words).exit_code == 0
    layout = PAGE.split("## Layout of the file")[1]
    table = [line.split("|")[1:3] for line in layout.splitlines() if line.startswith("| `")]
    kinds = {name: kind.strip() for names, kind in table for name in re.findall(r"`(\w+)`", names)}
    found = arrays_of(tmp_path / "a.npz")
    assert set(found) == set(kinds)
    types = {"uint8": np.uint8, "integer": np.integer, "unicode": np.str_}
    assert all(np.issubdtype(found[name].dtype, types[kind]) for name, kind in kinds.items())


def test_its_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = ["image,diagnosis,patient"]
    for i in range(40):
        write_picture(tmp_path / "scans" / ("normal", "tumour")[i % 2] / f"{i}.png", i)
        write_dicom(tmp_path / "a" / f"{i}.dcm", noise(i, 16, 16))
        rows.append(f"a/{i}.dcm,{('normal', 'tumour')[i % 2]},P{i // 2}")
    (tmp_path / "table.csv").write_text("\n".join(rows))
    assert len(COMMANDS) == 3
    for command in COMMANDS:
        Path("scans.npz").unlink() if "--labels" in command else None
        done = salun_grid_data(*shlex.split(command))
        assert done.exit_code == 0 and done.stderr == "", done.output


def test_every_option_is_on_the_page() -> None:
    options = {option for each in data.commands["import"].params for option in each.opts if option.startswith("--")}
    assert {option for option in options if option not in PAGE} == set()
    named = set(re.findall(r"`(--[a-z-]+)", PAGE)) - {"--dataset"}
    assert named <= options
