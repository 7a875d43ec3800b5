"""Training under Ray Train.

On one device it uses Ray Train's local mode: the loop runs in the trial's warm process, which costs milliseconds,
where a worker group costs about twenty seconds.
"""

import os
from collections.abc import Callable
from typing import Any

import ray.train
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback

from salun_grid.trainables.workers import Worker


def run_alone(loop: Callable[[], None]) -> None:
    """Run `loop`, a complete training that publishes its model, under Ray Train on this process's device."""
    TorchTrainer(loop, scaling_config=ScalingConfig(num_workers=0)).fit()


def run_together(
    loop: Callable[[dict[str, Any]], None],
    config: dict[str, Any],
    num_workers: int,
    resources: dict[str, float],
    folder: str,
) -> None:
    """Run `loop(config)` in `num_workers` processes with `resources` each; their reports go to Tune.

    `folder`, an absolute path or an address, must be visible on every node. Raises Ray Train's error if a worker fails.
    """
    # The polling interval of the controller, for which workers wait at each report; the default is 2 s.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    TorchTrainer(
        loop,
        train_loop_config=config,
        scaling_config=ScalingConfig(
            num_workers=num_workers, use_gpu=bool(resources.get("GPU")), resources_per_worker=resources
        ),
        run_config=RunConfig(name="train", storage_path=folder, callbacks=[TuneReportCallback()]),
    ).fit()


def this_worker() -> Worker:
    """Rank and world size of this process, inside the loop of `run_together`."""
    context = ray.train.get_context()
    return Worker(context.get_world_rank(), context.get_world_size())
