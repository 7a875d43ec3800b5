"""What a trial tells the driver, and how often."""

import pytest

from grid.trial import at_most_each, failure


def test_reports_are_left_out_where_the_last_is_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training waits at each report for the driver, so an epoch of milliseconds must not report each time."""
    clock, told = [100.0], []
    monkeypatch.setattr("grid.trial.time.monotonic", lambda: clock[0])
    report = at_most_each(1.0, told.append)
    for epoch in range(8):
        report({"epoch": epoch})
        clock[0] += 0.4
    assert [metrics["epoch"] for metrics in told] == [0, 3, 6]


def test_a_failure_is_its_traceback() -> None:
    def divide() -> None:
        print(1 / 0)

    assert failure(lambda: None) == ""
    reason = failure(divide)
    assert reason.startswith("Traceback")
    assert reason.rstrip().endswith("ZeroDivisionError: division by zero")
