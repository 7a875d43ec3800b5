"""What all tests share: one thread for each process, a small data set, and markers that cannot be forgotten."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.small_data import write_small_npz

# A test that uses the fixture has the marker.
FIXTURE_MARKERS = {"ray_cluster": "ray", "s3_port": "bucket", "chromium": "browser"}

# With gdb but without tmux, Ray refuses to start its servers, in this process and in those that a test starts.
RAY_REFUSES = "RAY_GCS_SERVER_GDB"
REFUSAL = "use_gdb"


@pytest.fixture
def small_npz(tmp_path: Path) -> Path:
    return write_small_npz(tmp_path / "small.npz")


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two draws of the paper's attack instead of 20, where its value does not matter."""
    from salun_grid.analysis import attacks

    monkeypatch.setattr(attacks, "over_draws", partial(attacks.over_draws, draws=2))


@pytest.fixture
def blank_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made but not rendered, which takes most of a page's time, where their looks do not matter."""
    from matplotlib.figure import Figure

    def blank(figure: Figure, target: Any, **options: object) -> None:
        if isinstance(target, Path):
            target.write_text("<svg></svg>")
        else:
            target.write("<svg></svg>")

    monkeypatch.setattr(Figure, "savefig", blank)


@pytest.hookimpl(tryfirst=True)  # before pytest selects by `-m`
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for fixture in FIXTURE_MARKERS.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(FIXTURE_MARKERS[fixture])
        if any("GPU" in mark.kwargs.get("reason", "") for mark in item.iter_markers("skipif")):
            item.add_marker("gpu")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Ray starts in tests with the marker `ray` only, their fixtures included."""
    if not item.get_closest_marker("ray"):
        os.environ[RAY_REFUSES] = "1"
    try:
        return (yield)
    finally:
        os.environ.pop(RAY_REFUSES, None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and REFUSAL in report.longreprtext:
        report.sections.append(("Ray", f"{item.nodeid} starts Ray: give it the marker `ray`."))
    return report
