"""Ray Train around a training.

On one device it is Ray Train's local mode: the loop runs in the trial's own warm process, which costs
milliseconds where a worker group of its own costs some twenty seconds.
"""

from collections.abc import Callable

from ray.train import ScalingConfig
from ray.train.torch import TorchTrainer


def fit(loop: Callable[[], None]) -> None:
    """Run `loop`, a whole training that publishes its model, under Ray Train on this process's device."""
    TorchTrainer(loop, scaling_config=ScalingConfig(num_workers=0)).fit()
