"""Comparison of the initialisation and the metrics with SalUn's (Fan et al. 2024)."""

from argparse import Namespace
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.agreement.cell import BATCH, Cell, Images, in_order, pixels
from benchmarks.agreement.comparison import Measured, farthest
from benchmarks.agreement.official import Official
from salun_grid.analysis.metrics import Attack, Predictions, evaluate
from salun_grid.trainables.architectures import resnet18
from salun_grid.trainables.protocol import ModelConfig

CLASSES, SEED = 10, 1


def initialisation(official: Official) -> Measured:
    """Both networks, built from the same state of PyTorch's generator, weight by weight in order."""
    weights: list[list[Tensor]] = []
    for build in (lambda: resnet18.build(ModelConfig(), CLASSES), lambda: network(official)):
        torch.manual_seed(SEED)
        weights.append(list(build().parameters()))
    return Measured("initial weights of ResNet-18", farthest(*weights))


def network(official: Official) -> nn.Module:
    made: nn.Module = official.module("models.ResNet").resnet18(num_classes=CLASSES)
    return made


def metrics(official: Official, cell: Cell, validate: Any, arguments: Namespace, model: nn.Module) -> list[Measured]:
    """UA, RA, TA and MIA of one model, with the validation split instead of the test split."""
    tested = (pixels(cell.data.images["val"].permute(0, 3, 1, 2)), cell.data.labels["val"])
    loaders = {
        "ua": in_order(cell, cell.forget, BATCH),
        "ra": in_order(cell, cell.retain, BATCH),
        "ta": [tested],
    }
    accuracies = {name: validate(loader, model, nn.CrossEntropyLoss(), arguments) for name, loader in loaders.items()}
    retain, num = Images(cell, cell.retain), len(tested[1])
    members = [(retain.images[:num], retain.targets[:num])]
    attack = official.module("evaluation.SVC_MIA").SVC_MIA(
        shadow_train=members, shadow_test=[tested], target_train=None, target_test=loaders["ua"], model=model
    )
    theirs = accuracies | {"ua": 100 - accuracies["ua"], "mia": 100 * attack["confidence"]}
    ours = evaluate(predictions(cell, model), Attack())
    return [
        Measured(f"{name.upper()} in percent", abs(ours[name] - theirs[name]) / max(theirs[name], 1.0))
        for name in ("ua", "ra", "ta", "mia")
    ]


def predictions(cell: Cell, model: nn.Module) -> Predictions:
    """Our predictions of a model, with the validation split as `test`."""
    splits = {"train": "train", "test": "val"}
    with torch.no_grad():
        logits = {name: model.eval()(cell.data.images[split].permute(0, 3, 1, 2)) for name, split in splits.items()}
    forgotten = torch.zeros(len(cell.data.labels["train"]), dtype=torch.bool)
    forgotten[cell.forget.indices] = True
    return Predictions(
        {name: values.numpy() for name, values in logits.items()},
        {name: cell.data.labels[split].numpy() for name, split in splits.items()},
        forgotten.numpy(),
    )
