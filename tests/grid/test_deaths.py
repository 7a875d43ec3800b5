"""A process that Ray's memory monitor kills, or that dies as it starts: its trial has failed, and the run goes on."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from salun_grid.grid.graph import JobGraph
from salun_grid.grid.on_ray.private import restart_what_runs_out_of_memory
from salun_grid.grid.on_ray.tune_run import GridCallback
from salun_grid.grid.progress import Progress
from tests.support.studies import FakeJob

# isort: split
from ray.air.execution._internal import RayActorManager, TrackedActor, event_manager
from ray.exceptions import OutOfMemoryError, RayActorError


class NoResources:
    """A resource manager that has given something and takes it back."""

    def free_resources(self, acquired_resource: object) -> None: ...


@pytest.mark.parametrize(("error", "told"), [(OutOfMemoryError("low"), "low"), (RayActorError(), "The actor exp")])
def test_a_killed_process_is_a_dead_one(error: Exception, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the way that Tune itself takes from a method's result to a trial's failure."""

    def get(future: str) -> Any:
        raise error

    restart_what_runs_out_of_memory()  # as at the start of a run
    failures: list[tuple[str, Exception]] = []
    manager = RayActorManager(resource_manager=NoResources())
    died = TrackedActor("actor", on_error=lambda actor, exception: failures.append(("actor", exception)))
    actor = SimpleNamespace(train=SimpleNamespace(remote=lambda: "its result"))
    manager._live_actors_to_ray_actors_resources[died] = (actor, None)
    manager.schedule_actor_task(died, "train", on_error=lambda actor, exception: failures.append(("task", exception)))
    monkeypatch.setattr(event_manager, "ray", SimpleNamespace(get=get))
    manager._actor_task_events.resolve_future("its result")
    assert [(what, type(exception)) for what, exception in failures] == [
        ("actor", RayActorError),
        ("task", RayActorError),
    ]
    assert all(str(exception).startswith(told) for _, exception in failures)
    assert manager.live_actors == []


def test_a_process_that_dies_before_its_job_starts(tmp_path: Path) -> None:
    """Once it is started again, at last it is given up; no view of it was ever made."""
    job = FakeJob("a", images=1000)
    graph = JobGraph([job], set(), lambda job: 1.0)
    progress = Progress([job], Console(file=io.StringIO(), width=200))
    (tmp_path / "error.txt").write_text("why")
    trial = SimpleNamespace(config={"job": job}, error_file=str(tmp_path / "error.txt"))
    callback = GridCallback(graph, progress, str(tmp_path))
    assert graph.next_job(lambda workers: True) == job
    callback.on_trial_recover(0, [trial], trial)
    callback.on_trial_error(0, [trial], trial)
    assert graph.failed == {"a": "why"}
    events = [line.partition("left · ")[2] for line in progress.console.file.getvalue().splitlines()]
    assert events == [f"process died, restarting: {job.label}", f"FAILED {job.label}"]
