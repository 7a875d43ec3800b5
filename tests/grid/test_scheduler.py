"""Which pending trial Tune starts: the one suggested first, found without looking at those that are done."""

from types import SimpleNamespace

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from grid.tuner import QueueScheduler


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
