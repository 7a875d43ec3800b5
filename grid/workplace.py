"""The workplace of a job in its process: dataset, store, device and reporting."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from salun_grid.grid.store import Store
from salun_grid.grid.study import Study
from salun_grid.trainables.compiled import compiled
from salun_grid.trainables.data import Dataset
from salun_grid.trainables.passes import Epoch
from salun_grid.trainables.resident import ResidentData
from salun_grid.trainables.workers import ALONE, Worker

Report = Callable[[Epoch], None]
RunLoop = Callable[[Callable[[], None]], None]


@dataclass(frozen=True)
class Workplace:
    """What a runner needs besides its job. `report` is called after each epoch, `tell` with a line for the user."""

    study: Study
    dataset: Dataset
    store: Store
    device: torch.device
    report: Report
    worker: Worker = ALONE
    compile: bool = False
    tell: Callable[[str], None] = lambda text: None

    @property
    def num_classes(self) -> int:
        return self.dataset.info.num_classes

    def compiled(self, model: torch.nn.Module, data: ResidentData, batch_size: int) -> tuple[torch.nn.Module, float]:
        """The module that runs the training batches, compiled or not, and the seconds of the compilation."""
        return compiled(model, data, batch_size) if self.compile else (model, 0.0)


_resident: dict[tuple[str, int, torch.device], ResidentData] = {}


def resident(dataset: Dataset, device: torch.device) -> ResidentData:
    """The dataset on the device; a warm process caches the last one for its next job."""
    key = (dataset.info.fingerprint, dataset.info.image_size, device)
    if key not in _resident:
        _resident.clear()
        _resident[key] = ResidentData.of(dataset, device)
    return _resident[key]


def counted(send: Callable[[dict[str, Any]], None]) -> Report:
    """A report that sends each epoch's number and speed, and the images so far in this run and before it."""
    images = {True: 0, False: 0}

    def report(epoch: Epoch) -> None:
        images[epoch.resumed] += epoch.num_images
        counts = {"epoch": epoch.epoch + 1, "images": images[False], "resumed_images": images[True]}
        send(counts | {"images_per_second": epoch.images_per_second})

    return report


def recorder(epochs: list[Epoch], report: Report) -> Report:
    """A report that appends each epoch to `epochs`, for the table, and forwards it to `report`."""

    def record(epoch: Epoch) -> None:
        epochs.append(epoch)
        report(epoch)

    return record
