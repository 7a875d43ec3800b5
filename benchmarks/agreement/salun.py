"""Methods in the repositories of SalUn (Fan et al. 2024), with its baselines, and Unlearn-Sparse (Jia et al. 2023)."""

import sys
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from benchmarks.agreement.cell import BATCH, Batches, Cell, Images, Prepared, batches_of, in_order, make_cell, prepared
from benchmarks.agreement.comparison import (
    LOADERS,
    Comparison,
    Measured,
    drawing,
    farthest,
    moves,
    weights_moved,
)
from benchmarks.agreement.official import Official
from benchmarks.agreement.salun_metrics import initialisation, metrics
from salun_grid.trainables.methods.gradients import mean_squared_gradient
from salun_grid.trainables.methods.influence import sample
from salun_grid.trainables.methods.random_label import draw_labels
from salun_grid.trainables.saliency import saliency, top_fractions

EPOCHS, RATE = 2, 0.01
SALUN, SPARSE = "https://github.com/OPTML-Group/Unlearn-Saliency", "https://github.com/OPTML-Group/Unlearn-Sparse"
SETTINGS = f"epochs={EPOCHS},batch_size={BATCH},learning_rate={RATE}"
ARGUMENTS = "an argument object instead of the command line's"
CPU = "`.cuda()` and `.float()` have no effect"
COMMON = (CPU, ARGUMENTS, LOADERS)
FRACTION, TENTHS = 0.5, [count / 10 for count in range(1, 11)]


def arguments(**changes: Any) -> Namespace:
    """The values of the authors' command-line arguments."""
    plain = {
        "decreasing_lr": "91,136",
        "rewind_epoch": 0,
        "unlearn": "",
        "unlearn_lr": RATE,
        "unlearn_epochs": EPOCHS,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "imagenet_arch": False,
        "arch": "resnet18",
        "warmup": 0,
        "print_freq": 10**9,
        "dataset": "cifar10",
        "num_classes": 10,
        "batch_size": BATCH,
        "gpu": 0,
        "no_l1_epochs": 0,
    }
    return Namespace(**plain | changes)


def stepwise(
    official: Official, module: str, name: str, loaders: dict[str, Prepared], model: nn.Module, **changes: Any
) -> None:
    """Run one of the iterative methods of the authors' package `unlearn` on `model`."""
    mask = {"mask": changes.pop("mask")} if "mask" in changes else {}
    getattr(method_module(official, module), name)(loaders, model, nn.CrossEntropyLoss(), arguments(**changes), **mask)


def method_module(official: Official, name: str) -> Any:
    """A module of the authors' package `unlearn`, with stand-ins for imports that the methods here do not use."""
    if "unlearn" not in sys.modules:
        official.without_init("unlearn")
        official.stand_in("pruner", "trainer")
    return official.module(f"unlearn.{name}")


# --- training on labels --------------------------------------------------------------------------------------


def random_labels(cell: Cell, job: Any) -> tuple[dict[str, Prepared], list[Tensor]]:
    """The loaders of D_f and D_r, and the random labels of each batch of D_f."""
    forget: list[Batches] = []
    for epoch in range(EPOCHS):
        labels = draw_labels(len(cell.forget), cell.data.num_classes, job.seeds.unlearning, epoch)
        forget.append(batches_of(job, cell.forget.relabelled(labels), epoch))
    loaders = {"forget": Prepared(forget), "retain": prepared(job, cell.retain, range(EPOCHS))}
    return loaders, [labels for batches in forget for _, labels in batches]


def random_label(official: Official, cell: Cell) -> list[Measured]:
    variant, theirs = f"random_label:{SETTINGS}", cell.copy()
    loaders, labels = random_labels(cell, cell.job(variant))
    with drawing("randint", labels):
        stepwise(official, "RL", "RL", loaders, theirs)
    return [weights_moved(cell, cell.unlearned(variant), theirs)]


def official_masks(official: Official, cell: Cell) -> list[dict[str, Tensor]]:
    """The masks written by the authors' `generate_mask` for the fractions 0.1, 0.2 … 1."""
    method_module(official, "impl")
    module, loaders = official.module("generate_mask"), {"forget": in_order(cell, cell.forget, BATCH)}
    with tempfile.TemporaryDirectory() as folder:
        module.save_gradient_ratio(loaders, cell.copy(), nn.CrossEntropyLoss(), arguments(save_dir=folder))
        files = [Path(folder) / f"with_{tenth}.pt" for tenth in TENTHS]
        return [torch.load(file) for file in files]


def salun(official: Official, cell: Cell) -> list[Measured]:
    """Compare initial weights, masks, the step in both modes, and the metrics.

    The official step before 2026 did not restore the weights.
    """
    official.without_init("trainer")
    validate = official.module("trainer.val").validate
    started, masks = initialisation(official), official_masks(official, cell)
    module = method_module(official, "RL")
    hard = masked_steps(official, cell, masks, "hard")
    with patch.object(module, "_restore_masked_params"):
        leaky = masked_steps(official, cell, masks, "leaky")
    unlearned = cell.unlearned(f"salun:{SETTINGS}")
    judged = metrics(official, cell, validate, arguments(), unlearned)
    return [started, masks_apart(cell, masks), hard, leaky, *judged]


def masks_apart(cell: Cell, masks: list[dict[str, Tensor]]) -> Measured:
    job = cell.job("salun")
    scores = saliency(job.model, cell.data, cell.forget, job.augmenter, BATCH)
    ours = [part.double() for mask in top_fractions(scores, TENTHS) for part in mask]
    theirs = [part.double() for mask in masks for part in mask.values()]
    return Measured("masks of the fractions 0.1 to 1", farthest(ours, theirs))


def masked_steps(official: Official, cell: Cell, masks: list[dict[str, Tensor]], mode: str) -> Measured:
    variant, theirs = f"salun:{SETTINGS},mask.fraction={FRACTION},mask.mode={mode}", cell.copy()
    loaders, labels = random_labels(cell, cell.job(variant))
    with drawing("randint", labels):
        stepwise(official, "RL", "RL", loaders, theirs, mask=masks[TENTHS.index(FRACTION)])
    return weights_moved(cell, cell.unlearned(variant), theirs, f"change of the weights, {mode} mask")


def gradient_ascent(official: Official, cell: Cell) -> list[Measured]:
    variant, theirs = f"gradient_ascent:{SETTINGS}", cell.copy()
    stepwise(official, "GA", "GA", {"forget": prepared(cell.job(variant), cell.forget, range(EPOCHS))}, theirs)
    return [weights_moved(cell, cell.unlearned(variant), theirs)]


def finetune(official: Official, cell: Cell) -> list[Measured]:
    variant, theirs = f"finetune:{SETTINGS}", cell.copy()
    stepwise(
        official, "FT", "FT", {"retain": prepared(cell.job(variant), cell.retain, range(EPOCHS))}, theirs, alpha=0.0
    )
    return [weights_moved(cell, cell.unlearned(variant), theirs)]


def l1_sparse(official: Official, cell: Cell) -> list[Measured]:
    variant, theirs = f"l1_sparse:{SETTINGS},alpha=0.001", cell.copy()
    loaders = {"retain": prepared(cell.job(variant), cell.retain, range(EPOCHS))}
    stepwise(official, "FT", "FT_l1", loaders, theirs, alpha=0.001)
    return [weights_moved(cell, cell.unlearned(variant), theirs)]


# --- gradients of each image ---------------------------------------------------------------------------------


def fisher(official: Official, cell: Cell) -> list[Measured]:
    """Compare with our noise, in the default dtype, given to the authors' code."""
    alpha, theirs = 1e-8, cell.copy()
    variant = f"fisher:alpha={alpha}"
    job, module = cell.job(variant), method_module(official, "fisher")
    loader = in_order(cell, cell.retain, BATCH)
    information = module.fisher_information_martix(theirs, loader, "cpu")
    own = mean_squared_gradient(job, cell.retain)
    stream = job.generator("fisher")
    noise = iter([torch.randn(weight.shape, generator=stream) for weight in theirs.parameters()])
    with patch.object(Tensor, "normal_", lambda self, *_: self.copy_(next(noise))):
        module.fisher({"retain": loader}, theirs, None, arguments(alpha=alpha))
    ours = cell.unlearned(variant)
    names = [name for name, _ in cell.model.named_parameters()]
    pairs = zip(moves(cell.model, ours, False), moves(cell.model, theirs, False), strict=True)
    apart = {name: farthest([mine], [wanted]) for name, (mine, wanted) in zip(names, pairs, strict=True)}
    return [
        Measured("diagonal of the Fisher information", farthest(own, information), ADDED, at_most=1e-5),
        Measured(
            "noise of all layers but the last layer's weight",
            max(value for name, value in apart.items() if name != "fc.weight"),
            ADDED,
            at_most=1e-5,
        ),
        Measured("noise of the last layer's weight", apart["fc.weight"], TEN_INPUTS),
    ]


ADDED = "1e-8 is added to each official gradient"
TEN_INPUTS = "the factor of ten goes to tensors whose last dimension is 10, so to the last bias alone"


def influence_cell() -> Cell:
    """A cell with 1,000 images of D_r, since the official recursion divides by 1,000, ours by the sample size."""
    return make_cell(num_forget=40, num_retain=1000, side=8, width=4)


def influence(official: Official, cell: Cell) -> list[Measured]:
    variant, theirs = "influence:alpha=2,samples=1000", cell.copy()
    drawn = sample(cell.job(variant))
    loaders = {name: Prepared([[]], Images(cell, part)) for name, part in (("forget", cell.forget), ("retain", drawn))}
    method_module(official, "Wfisher").Wfisher(loaders, theirs, nn.CrossEntropyLoss(), arguments(alpha=2.0))
    return [weights_moved(cell, cell.unlearned(variant), theirs)]


# --- the records ---------------------------------------------------------------------------------------------


def of_salun(run: Any, *files: str, adaptations: tuple[str, ...] = (), departures: tuple[str, ...] = ()) -> Comparison:
    """A comparison with a module of SalUn's repository."""
    places = tuple(f"Classification/{file}" for file in files)
    return Comparison(SALUN, places, run, (*COMMON, *adaptations), "Classification", departures)


LABELS = "`torch.randint` returns the labels that ours draws"
COMPARISONS = {
    "finetune": of_salun(finetune, "unlearn/FT.py"),
    "gradient_ascent": of_salun(gradient_ascent, "unlearn/GA.py"),
    "random_label": of_salun(random_label, "unlearn/RL.py", adaptations=(LABELS,)),
    "salun": of_salun(
        salun,
        "generate_mask.py",
        "unlearn/RL.py",
        "models/ResNet.py",
        "trainer/val.py",
        "evaluation/SVC_MIA.py",
        adaptations=(
            LABELS,
            "for the leaky mask, `_restore_masked_params` does nothing",
            "the metrics are those of 20 validation images instead of the test split",
        ),
        departures=(
            "mask.mode=hard is the official step since February 2026; the default, leaky, is the step of the commit "
            "before, which the paper ran",
        ),
    ),
    "l1_sparse": Comparison(SPARSE, ("unlearn/FT.py",), l1_sparse, COMMON),
    "fisher": of_salun(
        fisher,
        "unlearn/fisher.py",
        adaptations=("`Tensor.normal_` returns the noise that ours draws",),
        departures=(
            "1e-8 is added to each official gradient before it is squared, which keeps the information above 0; ours "
            "adds 1e-16 to the information",
            f"{TEN_INPUTS}; ours scales the whole last layer, whatever the number of classes",
        ),
    ),
    "influence": Comparison(
        SALUN,
        ("Classification/unlearn/Wfisher.py",),
        influence,
        (CPU, ARGUMENTS, "a dataset of D_r in the order in which ours draws its sample"),
        "Classification",
        ("the official recursion divides by 1,000 whatever it is given; compared with 1,000 images of D_r",),
        influence_cell,
    ),
}
