"""What a trial tells the driver, and how often."""

from pathlib import Path

import pytest
from ray.train import WorkerGroupError

from salun_grid.grid.on_ray.trial import Assignment, at_most_each, failure, failure_of_group
from salun_grid.grid.plan import make_plan
from salun_grid.records.errors import Diverged
from tests.support.studies import small_study


def test_reports_are_left_out_where_the_last_is_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training waits at each report for the driver, so an epoch of milliseconds must not report each time."""
    clock, told = [100.0], []
    monkeypatch.setattr("salun_grid.grid.on_ray.trial.time.monotonic", lambda: clock[0])
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


def test_a_process_that_has_lost_its_gpu_takes_no_further_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA then raises at whatever is asked of it: a trial that ended well would leave the next one to fail."""

    def lost() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr("torch.cuda.is_initialized", lambda: True)
    monkeypatch.setattr("torch.cuda.synchronize", lambda: None)
    assert "ZeroDivisionError" in failure(lambda: 1 // 0)
    monkeypatch.setattr("torch.cuda.synchronize", lost)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        failure(lambda: 1 // 0)
    assert failure(lambda: None) == ""


@pytest.mark.parametrize(
    ("failures", "reason"),
    [
        ({}, ""),
        ({0: RuntimeError("the neighbour is gone"), 1: Diverged("the loss is nan")}, "Diverged: the loss is nan"),
        ({0: RuntimeError("the neighbour is gone")}, None),
    ],
)
def test_a_group_is_tried_again_unless_its_loss_diverged(
    failures: dict[int, Exception], reason: str | None, small_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tune starts a trial again that raises, and none that ends and says why."""

    def run_together(*_: object) -> None:
        if failures:
            raise WorkerGroupError("as Ray Train says it", failures)

    monkeypatch.setattr("salun_grid.grid.on_ray.trial.run_together", run_together)
    study = small_study(small_npz)
    job = next(iter(make_plan(study).jobs.values()))
    assignment = Assignment(study, {}, str(tmp_path), {"CPU": 1.0})
    if reason is None:
        with pytest.raises(WorkerGroupError):
            failure_of_group(job, assignment, 2)
    else:
        assert failure_of_group(job, assignment, 2).strip().removeprefix("salun_grid.records.errors.") == reason
