"""The lists of `salun-grid`: every entry of each dictionary, with what a user needs to choose it."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from salun_grid.analysis.cells import cells_of
from salun_grid.grid.catalogue import epochs_of
from salun_grid.grid.cli import main
from salun_grid.grid.methods_page import relative_rte, rte_cell
from salun_grid.trainables.architectures import ARCHITECTURES
from salun_grid.trainables.data import dataset_names
from salun_grid.trainables.forget import FORGET_RULES
from salun_grid.trainables.methods import METHODS
from salun_grid.trainables.probes import PROBES
from salun_grid.trainables.protocol import Protocol
from salun_grid.trainables.settings import settings_of
from tests.support.folders import Run, make_grid, make_run, write_folder

ROOT = Path(__file__).parents[2]

LISTS = {
    "architectures": ARCHITECTURES,
    "datasets": dict.fromkeys(dataset_names()),
    "forget-rules": FORGET_RULES,
    "methods": METHODS,
    "probes": PROBES,
}


def printed(command: str) -> str:
    result = CliRunner().invoke(main, [command])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("command", LISTS)
def test_every_entry_has_a_line_of_its_own(command: str) -> None:
    starts = [line.partition(":")[0] for line in printed(command).splitlines()]
    for name in LISTS[command]:
        assert starts.count(name) == 1, name


@pytest.mark.parametrize("command", ["methods", "probes"])
def test_every_setting_follows_its_entry_with_default_and_range(command: str) -> None:
    text = printed(command)
    for name, entry in LISTS[command].items():
        section = text.partition(f"\n{name}: ")[2].partition("\n\n")[0]
        assert entry.idea in section and entry.paper in section
        assert "passes over D_f" in section
        for setting in settings_of(entry.settings):
            (line,) = [line for line in section.splitlines() if line.strip().startswith(f"{setting.name} = ")]
            assert setting.allowed in line


def test_the_page_of_the_methods_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that the page names writes it anew, from the project's folder."""
    page = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    (words,) = re.findall(r"^`salun-grid (methods --markdown.*)` generates this page", page, re.MULTILINE)
    monkeypatch.chdir(ROOT)
    assert page == CliRunner().invoke(main, words.split()).stdout


def test_rte_is_relative_to_the_retrain_of_the_same_cell_and_device() -> None:
    def row(method: str, seed: int, seconds: float, device: str = "cpu") -> Run:
        return make_run(method=method, seed=seed, seconds_total=seconds, device_name=device)

    rows = [
        *(row("retrain", seed, 100.0 * (seed + 1)) for seed in (0, 1)),
        *(row("salun", seed, 30.0) for seed in (0, 1)),
        row("scrub", 0, 1.0, device="gpu"),
        row("finetune", 2, 1.0),
        row("original", 0, 0.0),
    ]
    assert relative_rte(cells_of(rows)) == {"salun": [0.3, 0.15]}
    assert rte_cell([0.3, 0.16]) == "0.23 ± 0.1" and rte_cell([0.3]) == "0.3" and rte_cell([]) == "–"


def test_a_folder_without_methods_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "out", make_grid(methods=("retrain",)))
    result = CliRunner().invoke(main, ["methods", "--markdown", "--measured", str(folder)])
    assert result.exit_code == 2 and "has no method with the retrain of its cell" in " ".join(result.stderr.split())


def test_an_epoch_is_a_pass_over_all_train_images() -> None:
    assert epochs_of(METHODS["finetune"]) == pytest.approx(10 * 0.9)
    assert epochs_of(METHODS["salun"]) == pytest.approx(10 + 0.1)
    assert epochs_of(METHODS["gradient_ascent"]) == pytest.approx(0.5)


def test_every_rule_is_listed_with_an_example_and_what_it_forgets() -> None:
    for rule in FORGET_RULES.values():
        assert f"\n{rule.example}: {rule.__doc__.splitlines()[0]}" in printed("forget-rules")


def test_every_setting_of_the_protocol_is_listed() -> None:
    text = printed("settings")
    for setting in settings_of(Protocol):
        assert f"\n{setting.name} = " in text
