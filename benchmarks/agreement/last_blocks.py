"""CF-k and EU-k, compared with the code of Goel et al. 2022."""

from math import inf
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

from benchmarks.agreement.cell import BATCH, Batches, Cell, Prepared, batches_of
from benchmarks.agreement.comparison import LOADERS, Comparison, Measured, weights_moved
from benchmarks.agreement.official import Official
from salun_grid.trainables.methods.eu_k import draw_anew

EPOCHS, RATE, MOMENTUM, DECAY = 3, 0.01, 0.9, 5e-4
SETTINGS = f"k=1,epochs={EPOCHS},batch_size={BATCH},learning_rate={RATE}"
ARGUMENTS = SimpleNamespace(disable_bn=False, regularization=None, clip=inf)


def cf_k(official: Official, cell: Cell) -> list[Measured]:
    variant, theirs = f"cf_k:{SETTINGS}", cell.copy()
    job = cell.job(variant)
    passes = [batches_of(job, cell.retain, epoch) for epoch in range(EPOCHS)]
    official.module("methods").resetFinalResnet(theirs, 1, "resnet18", silent(), reinit=False)
    trained(official, theirs, passes)
    return [weights_moved(cell, cell.unlearned(variant), theirs)]


def eu_k(official: Official, cell: Cell) -> list[Measured]:
    """Compare with our new weights of the last layer given to the authors' code."""
    variant, theirs, new = f"eu_k:{SETTINGS}", cell.copy(), cell.job(f"eu_k:{SETTINGS}")
    subset = cell.data.subset("train", cell.retain.indices)
    passes = [batches_of(new, subset, epoch) for epoch in range(EPOCHS)]
    draw_anew(new, 1)
    drawn: Any = new.model

    def reinitialised(layer: nn.Module) -> None:
        layer.load_state_dict(drawn.fc.state_dict())

    methods = official.module("methods")
    with patch.object(methods, "_reinit", reinitialised):
        methods.resetFinalResnet(theirs, 1, "resnet18", silent(), reinit=True)
    trained(official, theirs, passes)
    return [weights_moved(cell, cell.unlearned(variant), theirs)]


def trained(official: Official, model: nn.Module, passes: list[Batches]) -> None:
    """Run the authors' epochs with SGD at a constant learning rate over the weights that they left trainable."""
    trainable = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(trainable, lr=RATE, momentum=MOMENTUM, weight_decay=DECAY)
    loader, criterion = Prepared(passes), nn.CrossEntropyLoss()
    for epoch in range(EPOCHS):
        official.module("learn").train(ARGUMENTS, model, loader, criterion, optimizer, epoch, silent())


def silent() -> SimpleNamespace:
    """A logger that keeps nothing."""
    return SimpleNamespace(info=lambda *_: None)


REPOSITORY = "https://github.com/shash42/Evaluating-Inexact-Unlearning"
FILES = ("src/methods.py", "src/learn.py")
ADAPTATIONS = (
    "an options object instead of argparse's, without cutmix and without a limit of the gradient's norm",
    LOADERS,
    "the optimizer and the loop over epochs are written here, at a constant learning rate",
)
SCHEDULE = "the official loop cuts the gradient's norm at 10 and follows a cosine with restarts; ours does neither"
COMPARISONS = {
    "cf_k": Comparison(REPOSITORY, FILES, cf_k, ADAPTATIONS, root="src", departures=(SCHEDULE,)),
    "eu_k": Comparison(
        REPOSITORY,
        FILES,
        eu_k,
        (*ADAPTATIONS, "`_reinit` loads the weights that ours draws"),
        root="src",
        departures=(
            SCHEDULE,
            "the official code draws the last layer from Kaiming's normal distribution with a bias of 0, ours from the "
            "architecture's own initialisation, as a retrain has it",
        ),
    ),
}
