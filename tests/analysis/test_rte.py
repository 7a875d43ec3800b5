"""RTE of different devices is never averaged, and the tables say which devices they are."""

import pytest

from salun_grid.analysis.commands import tables_text
from salun_grid.analysis.compare import COLUMNS as COMPARED
from salun_grid.analysis.compare import compare
from salun_grid.analysis.paper import paper_table
from salun_grid.analysis.plots import trade_off
from salun_grid.analysis.tables import COLUMNS, make_tables
from salun_grid.analysis.view import Results
from tests.support.folders import Run, make_run, write_folder

METHODS = ("retrain", "salun")


@pytest.fixture
def two_devices() -> list[Run]:
    """Two seeds of each method on a quick device, one on a slow one."""
    device = {0: ("Quick", 60.0), 1: ("Quick", 120.0), 2: ("Slow", 600.0)}
    return [
        make_run(method=method, seed=seed, device_name=name, seconds_total=seconds, augmentation="default")
        for method in METHODS
        for seed, (name, seconds) in device.items()
    ]


def test_each_device_has_a_number_of_its_own_and_a_sign(two_devices: list[Run]) -> None:
    (table,) = make_tables(Results.of(two_devices).summaries, "")
    cells = [dict(zip(COLUMNS, row, strict=True))["RTE (min)"] for row in table.rows]
    assert cells == ["1.500 ± 0.707 (d1), 10.000 (d2)"] * 2
    assert "RTE was measured on d1 = Quick; d2 = Slow, each device by itself." in table.note


def test_one_device_needs_no_sign(two_devices: list[Run]) -> None:
    (table,) = make_tables(Results.of([run | {"device_name": "Some GPU"} for run in two_devices]).summaries, "")
    assert table.rows[0][-2] == "4.333 ± 4.933"
    assert "RTE was measured on Some GPU." in table.note


def test_several_workers_are_another_device(two_devices: list[Run]) -> None:
    runs = [run | {"device_name": "GPU", "num_workers": 4 if run["seed"] == 2 else 1} for run in two_devices]
    (table,) = make_tables(Results.of(runs).summaries, "")
    assert "d1 = GPU; d2 = GPU, 4 workers" in table.note


def test_two_methods_on_two_devices_are_disambiguated() -> None:
    runs = [make_run(method="retrain", device_name="A"), make_run(device_name="B")]
    (table,) = make_tables(Results.of(runs).summaries, "")
    assert [row[-2] for row in table.rows] == ["1.500 (d1)", "1.500 (d2)"]


def test_comparison_paper_and_figure_average_no_devices_either(two_devices: list[Run]) -> None:
    table = compare(Results.of(two_devices), Results.of(two_devices))
    cell = dict(zip(COMPARED, table.rows[1], strict=True))["RTE (min)"]
    assert cell == "1.500 ± 0.707 (d1), 10.000 (d2) | 1.500 ± 0.707 (d1), 10.000 (d2)"
    assert "d1 = Quick; d2 = Slow" in table.note
    paper = paper_table(Results.of(two_devices).summaries)
    assert [row[-2] for row in paper.rows if "(d1)" in row[-2]][-1] == "1.1 | 1.50 ± 0.71 (d1), 10.00 (d2)"
    assert "d1 = Quick; d2 = Slow" in paper.note
    (axis,) = trade_off(Results.of(two_devices).summaries).axes
    assert sorted(line.get_xdata()[0] for line in axis.lines) == pytest.approx([1.5, 10.0])


def test_devices_stand_under_the_printed_table(two_devices: list[Run], tmp_path) -> None:
    assert "d1 = Quick; d2 = Slow" in tables_text(str(write_folder(tmp_path, two_devices)), "markdown")
