"""One cell of the protocol `paper` on real images, in resumable slices: original, SalUn, retrain and their rows.

FOLDER/NAME.checkpoint   the state of an unfinished training
FOLDER/NAME.safetensors  a finished model's weights
FOLDER/NAME.json         its seconds and metrics; written last, as the mark of a finished model
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from benchmarks.gpu_parts import Settings
from benchmarks.gpu_variants import TimeLeft
from benchmarks.measure import DEVICE
from salun_grid.analysis.gaps import gaps
from salun_grid.analysis.metrics import Attack, Predictions, evaluate
from salun_grid.records.folder import write_whole
from salun_grid.trainables.architectures import build_model
from salun_grid.trainables.checkpoint import Checkpoints
from salun_grid.trainables.compiled import compiled
from salun_grid.trainables.data import Dataset, describe, load
from salun_grid.trainables.forget import retain_set, uniform_forget_set
from salun_grid.trainables.methods import METHODS, Unlearning, unlearn
from salun_grid.trainables.methods.variants import Variant
from salun_grid.trainables.passes import Epoch
from salun_grid.trainables.precision import Precision, here
from salun_grid.trainables.prediction import predict
from salun_grid.trainables.protocol import Protocol
from salun_grid.trainables.resident import Augmenter, ResidentData
from salun_grid.trainables.seeds import Seeds
from salun_grid.trainables.training import prepare_device, train

# SalUn before the retrain, which takes as long as the original, so that an early stop leaves more rows.
NAMES = ("original", "salun", "retrain")
ROWS = ("retrain", "original", "salun")  # the target first, as in the tables of the analysis
# A stopped training loses at most this much work.
SECONDS_BETWEEN_STATES = 5.0


class OutOfTime(Exception):
    """The time of the slice is over; finished work is in the folder."""


@dataclass(frozen=True)
class Work:
    """The cell's settings, the folder of its state, and the remaining time."""

    settings: Settings
    folder: Path
    time_left: TimeLeft
    seconds_between_states: float = SECONDS_BETWEEN_STATES

    @cached_property
    def dataset(self) -> Dataset:
        return load(describe(self.settings.images, self.settings.protocol.image_size))

    @cached_property
    def data(self) -> ResidentData:
        return ResidentData.of(self.dataset, DEVICE)

    @cached_property
    def forget_and_retain(self) -> tuple[Tensor, Tensor]:
        num_train = self.dataset.info.num_images["train"]
        forget = uniform_forget_set(self.settings.forget_rate, num_train, self.settings.seed)
        return torch.from_numpy(forget), torch.from_numpy(retain_set(forget, num_train))

    @cached_property
    def protocol(self) -> Protocol:
        """The protocol with the precision resolved for this device."""
        return replace(self.settings.protocol, model=self.precision.of(self.settings.protocol.model))

    @property
    def precision(self) -> Precision:
        info = self.dataset.info
        return here(self.settings.protocol.model, info.num_classes, info.image_size)

    @property
    def augmenter(self) -> Augmenter:
        return Augmenter(self.settings.augmentation, self.protocol.augmentation, self.settings.seed)

    def path(self, name: str, ending: str) -> Path:
        return self.folder / f"{name}.{ending}"

    def finished(self, name: str) -> dict[str, Any] | None:
        path = self.path(name, "json")
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def slice_of_study(work: Work) -> dict[str, Any]:
    """Resume the cell until it is complete or out of time; returns its rows so far."""
    prepare_device(DEVICE)
    epochs_done: dict[str, int] = {}
    try:
        for name in NAMES:
            if work.finished(name) is None:
                finish(name, work, epochs_done)
    except OutOfTime:
        pass
    precision = work.precision
    return {
        "dataset": work.dataset.info.name,
        "num_images": work.dataset.info.num_images,
        "image_size": work.dataset.info.image_size,
        "forget_rate": work.settings.forget_rate,
        "augmentation": work.settings.augmentation,
        "seed": work.settings.seed,
        "precision": precision.name,
        "precision_reason": precision.reason,
        "compiled": work.settings.compile,
        "epochs": work.protocol.training.epochs,
        "unfinished": epochs_done,
        "rows": rows(work),
        "complete": all(work.finished(name) for name in NAMES),
    }


def finish(name: str, work: Work, epochs_done: dict[str, int]) -> None:
    """Make one model, or raise OutOfTime with the epochs trained so far in `epochs_done`."""
    if work.time_left() <= 0:
        raise OutOfTime
    epochs: list[Epoch] = []

    def on_epoch(epoch: Epoch) -> None:
        epochs.append(epoch)
        epochs_done[name] = len(epochs)

    make = unlearn_model if name == "salun" else train_model
    model, seconds = make(name, work, on_epoch)
    measured = seconds | {"epochs": len(epochs), "images_per_second": rate(epochs)} | metrics(model, work)
    weights = {key: tensor.detach().cpu().contiguous() for key, tensor in model.state_dict().items()}
    write_whole(work.path(name, "safetensors"), save(weights))
    write_whole(work.path(name, "json"), json.dumps(measured).encode())
    work.path(name, "checkpoint").unlink(missing_ok=True)
    del epochs_done[name]


def train_model(name: str, work: Work, on_epoch: Callable[[Epoch], None]) -> tuple[torch.nn.Module, dict[str, float]]:
    """Train the original or the retrain; stops after a save if the next one would exceed the time."""
    protocol, seeds, state = work.protocol, Seeds.all(work.settings.seed), work.path(name, "checkpoint")
    indices = work.forget_and_retain[1] if name == "retrain" else torch.arange(len(work.data.labels["train"]))
    model = build_model(protocol.model, work.data.num_classes, seeds.initialisation).to(DEVICE)
    forward, seconds_compile = model, 0.0
    if work.settings.compile:
        forward, seconds_compile = compiled(model, work.data, protocol.training.batch_size)  # type: ignore[assignment]
    epochs: list[Epoch] = []

    def record(epoch: Epoch) -> None:
        epochs.append(epoch)
        on_epoch(epoch)

    def save_state(content: bytes) -> None:
        write_whole(state, content)
        if work.time_left() <= work.seconds_between_states and len(epochs) < protocol.training.epochs:
            raise OutOfTime

    checkpoints = Checkpoints(
        lambda: state.read_bytes() if state.exists() else None, save_state, work.seconds_between_states
    )
    train(
        model,
        work.data,
        indices,
        protocol.training,
        work.augmenter,
        seeds,
        record,
        checkpoints=checkpoints,
        forward=forward,
    )
    return model, {"seconds": sum(epoch.seconds for epoch in epochs), "seconds_compile": seconds_compile}


def unlearn_model(name: str, work: Work, on_epoch: Callable[[Epoch], None]) -> tuple[torch.nn.Module, dict[str, float]]:
    """Run SalUn without interruption, if the remaining time suffices, judged by the original's epochs."""
    original = work.finished("original") or {}
    settings, mask = Variant("salun").resolved(work.protocol)
    epochs = METHODS["salun"].passes(settings).retain
    if work.time_left() < epochs * original["seconds"] / original["epochs"]:
        raise OutOfTime
    model = build_model(work.protocol.model, work.data.num_classes, work.settings.seed).to(DEVICE)
    model.load_state_dict(load_file(work.path("original", "safetensors")))
    job = Unlearning(
        model,
        model,
        work.data,
        *work.data.forget_and_retain(*work.forget_and_retain),
        settings,
        work.augmenter,
        Seeds.all(work.settings.seed),
        on_epoch,
    )
    seconds = unlearn(METHODS["salun"], job, mask)
    return model, {"seconds": seconds.mask + seconds.train, "seconds_compile": 0.0}


def rate(epochs: list[Epoch]) -> float:
    return sum(epoch.num_images for epoch in epochs) / sum(epoch.seconds for epoch in epochs)


def metrics(model: torch.nn.Module, work: Work) -> dict[str, float]:
    """UA, RA, TA and MIA in percent, with the protocol's evaluation settings."""
    evaluation = work.protocol.evaluation
    attack = Attack(evaluation.mia_svc_c, evaluation.mia_non_members, evaluation.mia_members, work.settings.seed)
    forgotten = np.zeros(len(work.dataset.labels["train"]), dtype=bool)
    forgotten[work.forget_and_retain[0]] = True
    return evaluate(Predictions(predict(model, work.data), work.dataset.labels, forgotten), attack)


def rows(work: Work) -> list[dict[str, Any]]:
    """One row per finished model; `ag` and `ag3` are None until the retrain is finished."""
    retrain, found = work.finished("retrain"), []
    for name in ROWS:
        if (own := work.finished(name)) is None:
            continue
        values = {metric: own[metric] for metric in ("ua", "ra", "ta", "mia")}
        gap = gaps(own, retrain) if retrain else {}
        # The original is the no-op, so its unlearning time is 0.
        minutes = 0.0 if name == "original" else own["seconds"] / 60
        averages = {average: gap.get(average) for average in ("ag", "ag3")}
        timing = {"rte_minutes": minutes, "seconds": own["seconds"], "images_per_second": own["images_per_second"]}
        found.append({"method": name} | values | averages | timing)
    return found
