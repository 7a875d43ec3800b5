"""Tune's cost a trial: the trial suggested first starts without a look at those that are done; no snapshots."""

from types import SimpleNamespace

import pytest

from salun_grid.grid.on_ray.environment import SETTINGS
from salun_grid.grid.on_ray.tune_run import QueueScheduler

# isort: split
from ray.tune.execution import experiment_state
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler


class Controller:
    """As much of Tune's controller as a scheduler sees; counts how often a trial's status is read."""

    def __init__(self, scheduler: FIFOScheduler) -> None:
        self.scheduler, self.trials, self.num_reads = scheduler, [], 0

    def add(self, name: str) -> SimpleNamespace:
        self.trials.append(watched(self, name))
        self.scheduler.on_trial_add(self, self.trials[-1])
        return self.trials[-1]

    def again(self, trial: SimpleNamespace) -> None:
        """As Tune does with a trial whose process died."""
        trial.now = Trial.PENDING
        self.trials.remove(trial)
        self.trials.append(trial)
        self.scheduler.on_trial_add(self, trial)

    def get_trials(self) -> list:
        return self.trials

    def chosen(self) -> str | None:
        trial = self.scheduler.choose_trial_to_run(self)
        return trial and trial.name


def watched(controller: Controller, name: str) -> SimpleNamespace:
    class Watched(SimpleNamespace):
        @property
        def status(self) -> str:
            controller.num_reads += 1
            return self.now

    return Watched(name=name, now=Trial.PENDING)


@pytest.mark.parametrize("scheduler", [QueueScheduler, FIFOScheduler])
def test_the_first_pending_trial_starts_as_in_tunes_own_scheduler(scheduler: type[FIFOScheduler]) -> None:
    controller = Controller(scheduler())
    assert controller.chosen() is None
    first, second, third = (controller.add(name) for name in "abc")
    assert controller.chosen() == "a"
    assert controller.chosen() == "a"
    second.now = Trial.RUNNING
    assert controller.chosen() == "a"
    first.now = Trial.TERMINATED
    assert controller.chosen() == "c"
    controller.again(second)
    assert controller.chosen() == "c"
    third.now = Trial.ERROR
    assert controller.chosen() == "b"
    second.now = Trial.RUNNING
    assert controller.chosen() is None


def test_what_is_done_is_not_looked_at_again() -> None:
    controller = Controller(QueueScheduler())
    for number in range(1_000):
        trial = controller.add(str(number))
        assert controller.chosen() == str(number)
        trial.now = Trial.TERMINATED
    assert controller.num_reads < 3 * 1_000


@pytest.mark.parametrize(("period", "num_saved"), [(SETTINGS["TUNE_GLOBAL_CHECKPOINT_S"], 2), ("auto", 100)])
def test_tune_writes_its_first_snapshot_and_its_last(
    period: str, num_saved: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour passes between two steps of Tune's loop; Tune's own setting would write one at each."""
    saved: list[int] = []
    syncer = SimpleNamespace(wait=lambda: None, sync_up=lambda *paths: True)
    storage = SimpleNamespace(experiment_driver_staging_path="", experiment_fs_path="", syncer=syncer)
    manager = experiment_state._ExperimentCheckpointManager(storage=storage, checkpoint_period=period)
    for step in range(100):
        clock = SimpleNamespace(monotonic=lambda step=step: 3600.0 * step)
        monkeypatch.setattr(experiment_state, "time", clock)
        manager.sync_up_experiment_state(lambda step=step: saved.append(step), force=step == 99)
    assert (saved[0], saved[-1], len(saved)) == (0, 99, num_saved)
