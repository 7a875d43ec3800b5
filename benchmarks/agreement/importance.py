"""Methods that score weights or gradients: SSD (Foster et al. 2024), SFR-on (Huang et al. 2024), MUNBa (Wu 2025)."""

import tempfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import nn

from benchmarks.agreement.cell import BATCH, Cell, Prepared, batches_of, in_order, make_cell, prepared
from benchmarks.agreement.comparison import CPU, LOADERS, Comparison, Measured, drawing, farthest, weights_moved
from benchmarks.agreement.official import Official
from salun_grid.trainables.methods.gradients import mean_squared_gradient
from salun_grid.trainables.methods.random_label import draw_labels
from salun_grid.trainables.methods.sfron import salient_weights
from salun_grid.trainables.resident import Subset

# --- SSD ----------------------------------------------------------------------------------------------------

SELECTION, DAMPENING = 1.2, 0.5
BATCH_SQUARED = "the official code squares the gradient of each batch's mean, ours that of each image, as the paper"


def importances(perturber: Any, cell: Cell, subset: Subset, batch_size: int) -> dict[str, torch.Tensor]:
    """The authors' importance of each weight."""
    (batches,) = in_order(cell, subset, batch_size).passes
    return perturber.calc_importance([(images, None, labels) for images, labels in batches])


def dampened(
    official: Official, cell: Cell, batch_size: int, as_readme_says: bool = False
) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """The model after the authors' step, and their importances for D_f."""
    model = cell.copy().eval()
    names = ("lower_bound", "exponent", "magnitude_diff", "min_layer", "max_layer", "forget_threshold")
    parameters: dict[str, Any] = dict(zip(names, (1, 1, None, -1, -1, 1), strict=True))
    parameters |= {"dampening_constant": DAMPENING, "selection_weighting": SELECTION}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    perturber = official.module("ssd").ParameterPerturber(model, optimizer, "cpu", parameters)
    with loss_free() if as_readme_says else nullcontext():
        forget = importances(perturber, cell, cell.forget, batch_size)
        everything = importances(perturber, cell, cell.forget.joined(cell.retain, "all"), batch_size)
    perturber.modify_weight(everything, forget)
    return model, forget


@contextmanager
def loss_free() -> Iterator[None]:
    """Apply the changes of the authors' README for LFSSD: another loss, and the absolute gradient."""
    with (
        patch.object(nn, "CrossEntropyLoss", lambda: lambda logits, _: logits.square().sum(1).mean()),
        patch.object(torch.Tensor, "pow", lambda self, _: self.abs()),
    ):
        yield


def ssd(official: Official, cell: Cell) -> list[Measured]:
    variant = f"ssd:alpha={SELECTION},dampening={DAMPENING}"
    ours = cell.unlearned(variant)
    theirs, importance = dampened(official, cell, 1)
    by_batch, _ = dampened(official, cell, BATCH)
    own = mean_squared_gradient(cell.job(variant), cell.forget)
    in_batches = weights_moved(cell, ours, by_batch).difference
    return [
        Measured("importance for D_f, official batch size 1", farthest(own, importance.values())),
        weights_moved(cell, ours, theirs, "change of the weights, official batch size 1"),
        Measured(f"change of the weights, official batch size {BATCH}", in_batches, BATCH_SQUARED),
    ]


def lfssd(official: Official, cell: Cell) -> list[Measured]:
    variant = f"lfssd:alpha={SELECTION},dampening={DAMPENING}"
    theirs, _ = dampened(official, cell, 1, as_readme_says=True)
    return [weights_moved(cell, cell.unlearned(variant), theirs, "change of the weights, official batch size 1")]


# --- SFR-on -------------------------------------------------------------------------------------------------

SFRON_EPOCHS = 3


def whole_batches() -> Cell:
    """A cell whose batches of D_r all have one size, since the official schedule counts steps and ours images."""
    return make_cell(num_forget=40, num_retain=4 * BATCH)


def sfron(official: Official, cell: Cell) -> list[Measured]:
    variant = f"sfron:epochs={SFRON_EPOCHS},batch_size={BATCH},learning_rate=0.01,alpha=5"
    job, theirs = cell.job(variant), cell.copy()
    official.without_init("unlearn")
    official.stand_in("trainer")
    retain = [batches_of(job, cell.retain, epoch) for epoch in range(SFRON_EPOCHS)]
    forget = [batches_of(job, cell.forget, 0), batches_of(job, cell.forget, 0, "cycle", 1)]
    # The first pass over each set is for the mask.
    loaders = {
        "forget_train": Prepared([*in_order(cell, cell.forget, BATCH).passes, *forget]),
        "retain_train": Prepared([*in_order(cell, cell.retain, BATCH).passes, *retain]),
        "retain_valid": None,
        "forget_valid": None,
    }
    with tempfile.TemporaryDirectory() as folder:
        given = Namespace(num_classes=10, seed=0)
        method = official.module("unlearn.sfron").SFRon(theirs, nn.CrossEntropyLoss(), folder, given)
        method.n_iters, method.forget_alpha = SFRON_EPOCHS * len(retain[0]), 5
        method.prepare_unlearn(loaders)
        theirs = method.get_unlearned_model()
    own = salient_weights(job, job.passes(job.sgd()))
    return [
        Measured(
            "mask", farthest([m.double() for m in own], [m.double() for m in method.weight_saliency_mask.values()])
        ),
        weights_moved(cell, cell.unlearned(variant), theirs),
    ]


# --- MUNBa --------------------------------------------------------------------------------------------------


def munba(official: Official, cell: Cell) -> list[Measured]:
    variant = f"munba:epochs=2,batch_size={BATCH},learning_rate=0.01"
    job, theirs, forget = cell.job(variant), cell.copy(), []
    for epoch in range(2):
        labels = draw_labels(len(cell.forget), cell.data.num_classes, job.seeds.unlearning, epoch)
        forget.append(batches_of(job, cell.forget.relabelled(labels), epoch))
    loaders = {"forget": Prepared(forget), "retain": prepared(job, cell.retain, range(2))}
    given = Namespace(
        gpu=0, decreasing_lr="91,136", sam=False, unlearn_lr=0.01, momentum=0.9, weight_decay=5e-4, unlearn_epochs=2,
        with_l1=False, num_classes=10, print_freq=10**9, lam=1.0,
    )  # fmt: skip
    official.without_init("unlearn")
    official.stand_in("pruner", "trainer")
    module = official.module("unlearn.MUNBa")
    drawn = [labels for batches in forget for _, labels in batches]
    with drawing("randint", drawn), patch.object(np, "float32", np.float64):
        module.munba(loaders, theirs, nn.CrossEntropyLoss(), given)
    apart = weights_moved(cell, cell.unlearned(variant), theirs)
    return [replace(apart, departs="the official closed form cancels digits, and adds 1e-8 twice", at_most=1e-6)]


COMPARISONS = {
    "ssd": Comparison(
        "https://github.com/if-loops/selective-synaptic-dampening",
        ("src/ssd.py",),
        ssd,
        ("loaders that yield our images, in [0, 1] and in order, and a third item that is not used",),
        "src",
        (f"{BATCH_SQUARED}'s equations; at a batch size of 1 they are equal",),
    ),
    "lfssd": Comparison(
        "https://github.com/if-loops/selective-synaptic-dampening",
        ("src/ssd.py", "README.md"),
        lfssd,
        (
            "loaders that yield our images, in [0, 1] and in order, and a third item that is not used",
            "the loss and the square of its gradient are replaced as the authors' README says",
        ),
        "src",
        ("the official code takes the gradient of each batch's mean, ours of each image; equal at a batch size of 1",),
    ),
    "sfron": Comparison(
        "https://github.com/K1nght/Unified-Unlearning-w-Remain-Geometry",
        ("Classification/unlearn/sfron.py",),
        sfron,
        (CPU, LOADERS, "fewer steps and a lower weight of the ascent, set on the authors' object"),
        "Classification",
        (
            "the official cosine goes by steps, ours by images; compared where all batches of D_r have one size, so "
            "that they are equal",
        ),
        whole_batches,
    ),
    "munba": Comparison(
        "https://github.com/JingWu321/MUNBa",
        ("Classification/unlearn/MUNBa.py",),
        munba,
        (CPU, LOADERS, "`torch.randint` returns the labels that ours draws", "`numpy.float32` is float64"),
        "Classification",
        ("the official closed form cancels digits, and adds 1e-8 to two denominators; ours computes the same",),
    ),
}
