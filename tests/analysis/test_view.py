"""The one view of a folder's rows: what is derived from rows is derived once, and the same for everyone."""

import random
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from functools import partial
from pathlib import Path

import pytest

from salun_grid.analysis import cells, commands
from salun_grid.analysis.view import Results
from tests.support.folders import make_grid, write_epochs, write_folder


@pytest.mark.usefixtures("blank_figures", "few_draws")
@pytest.mark.parametrize(
    "command",
    [
        commands.tables_text,
        commands.verdicts_text,
        partial(commands.metrics_text, names=("nll",), non_members="val"),
        partial(commands.export_text, non_members="val"),
        commands.draw_figure,
        commands.write_report,
    ],
    ids=["tables", "verdicts", "metrics", "export", "figure", "report"],
)
def test_a_command_labels_the_rows_once(
    command: Callable[[str], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = make_grid()
    write_epochs(tmp_path, runs)
    calls: list[int] = []

    def counted(rows: list, *arguments: object) -> list:
        calls.append(len(rows))
        return labelled(rows, *arguments)

    labelled = cells.labelled
    monkeypatch.setattr(cells, "labelled", counted)
    command(str(write_folder(tmp_path, runs)))
    assert calls == [len(runs)]


def test_a_view_does_not_depend_on_the_order_of_the_files() -> None:
    runs = make_grid(rates=(0.1, 0.5), augmentations=("none", "default"))
    shuffled = list(runs)
    random.Random(0).shuffle(shuffled)
    assert Results.of(shuffled).runs == Results.of(runs).runs
    assert Results.of(shuffled).summaries == Results.of(runs).summaries


def test_a_view_is_frozen_and_keeps_what_it_derived() -> None:
    results = Results.of(make_grid())
    assert results.summaries is results.summaries
    with pytest.raises(FrozenInstanceError):
        results.cells = ()  # type: ignore[misc]


def test_the_labels_of_a_view_can_be_those_of_two_folders() -> None:
    results = Results.of(make_grid(dataset_fingerprint="md5:a"))
    assert results.ambiguous == frozenset()
    (dataset,) = {cell.group.dataset for cell in results.named({"bloodmnist"}, {}).cells}
    assert dataset.startswith("bloodmnist #")
