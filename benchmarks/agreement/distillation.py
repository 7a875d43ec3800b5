"""Distillation: SCRUB and NegGrad+ (Kurmanji et al. 2023), bad teacher (Chundawat et al. 2023), DELETE, LoTUS."""

from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, patch

import torch
from torch import Tensor, nn

from benchmarks.agreement.cell import (
    BATCH,
    NUM_CLASSES,
    Cell,
    Prepared,
    batches_of,
    in_order,
    make_cell,
    passes_of,
    pixels,
    prepared,
)
from benchmarks.agreement.comparison import CPU, LOADERS, Comparison, Measured, weights_moved
from benchmarks.agreement.official import Official
from salun_grid.trainables.methods.lotus import gumbel_noise
from salun_grid.trainables.optimizers import sgd

NOTEBOOK = "the loop over epochs, which is in a notebook, is written here"


def scrub(official: Official, cell: Cell) -> list[Measured]:
    """Compare over four epochs with two ascents; the learning rate falls at the third."""
    settings = "temperature=2,alpha=0.5,gamma=0.9,weight_decay=0.0005"
    variant = f"scrub:epochs=4,batch_size={BATCH},learning_rate=0.01,ascent_epochs=2,decay_epochs=2,{settings}"
    job, theirs = cell.job(variant), cell.copy()
    loops, util, zoo = (official.module(name) for name in ("helper.loops", "helper.util", "distiller_zoo.KD"))
    optimizer = sgd(theirs, 0.01, 0.9, 5e-4)
    modules = nn.ModuleList([theirs, job.teachers["original"]])
    criteria = nn.ModuleList([nn.CrossEntropyLoss(), zoo.DistillKL(2.0), zoo.DistillKL(2.0)])
    options = SimpleNamespace(
        distill="kd", gamma=0.9, alpha=0.5, beta=0, sgda_learning_rate=0.01, lr_decay_epochs=[2], lr_decay_rate=0.1
    )
    forget, retain = prepared(job, cell.forget, range(2)), prepared(job, cell.retain, range(4))
    for epoch in range(1, 5):
        util.adjust_learning_rate(epoch, options, optimizer)
        parts = [(forget, "maximize")] * (epoch <= 2) + [(retain, "minimize")]
        for loader, split in parts:
            loops.train_distill(epoch, loader, modules, None, criteria, optimizer, options, split, quiet=True)
    return [weights_moved(cell, cell.unlearned(variant), theirs)]


def negative_gradient_plus(official: Official, cell: Cell) -> list[Measured]:
    variant = f"negative_gradient_plus:epochs=2,batch_size={BATCH},learning_rate=0.01,alpha=0.8"
    job, theirs = cell.job(variant), cell.copy()
    loops, optimizer = official.module("helper.loops"), sgd(theirs, 0.01, 0.9, 5e-4)
    for epoch in range(2):
        retain, forget = batches_of(job, cell.retain, epoch), batches_of(job, cell.forget, epoch)
        forget += batches_of(job, cell.forget, epoch, "cycle", 1)
        loops.train_negrad(epoch, retain, forget, theirs, nn.CrossEntropyLoss(), optimizer, 0.8, None, quiet=True)
    return [weights_moved(cell, cell.unlearned(variant), theirs)]


def bad_teacher(official: Official, cell: Cell) -> list[Measured]:
    variant = f"bad_teacher:epochs=2,batch_size={BATCH},learning_rate=0.001,temperature=2,retain_fraction=0.5"
    job, theirs = cell.job(variant), cell.copy()
    both = cell.forget.joined(job.some_of_retain(0.5, "bad_teacher"), "mixed")
    loader = prepared(job, both.relabelled((torch.arange(len(both)) < len(cell.forget)).long()), range(2))
    optimizer = torch.optim.Adam(theirs.parameters(), lr=0.001)
    bad, good = job.teachers["random"], job.teachers["original"]
    for _ in range(2):
        official.module("unlearn").unlearning_step(theirs, bad, good, loader, optimizer, "cpu", 2.0)
    return [weights_moved(cell, cell.unlearned(variant), theirs)]


def delete(official: Official, cell: Cell) -> list[Measured]:
    """Compare on a random forget set, since the step does not require a whole class."""
    variant, theirs = f"delete:epochs=2,batch_size={BATCH},learning_rate=0.01", cell.copy()
    loader = prepared(cell.job(variant), cell.forget, range(2))
    official.without_init("method")
    official.stand_in("models")
    module: Any = official.module("method.delete")
    names = ("console_handler", "loader_dict", "experiment_path")
    unused: dict[str, Any] = {"logger": MagicMock()} | dict.fromkeys(names)
    with (
        patch.object(module, "plot_unlearn_remain_acc_figure"),
        patch.object(module, "evaluate_model_on_all_loaders", MagicMock()),
    ):
        theirs = module.delete.__wrapped__(theirs, loader, 2, 0.01, soft_label="inf", **unused)
    return [weights_moved(cell, cell.unlearned(variant), theirs)]


def lotus(official: Official, cell: Cell) -> list[Measured]:
    """Compare with our Gumbel noise, one draw per image and epoch, given to the authors' code."""
    epochs, variant = 3, f"lotus:epochs=3,batch_size={BATCH},learning_rate=0.001,alpha=2,retain_fraction=0.3"
    job, theirs = cell.job(variant), cell.copy()
    both = cell.forget.joined(job.some_of_retain(0.3, "lotus"), "mixed")
    passes: list[list[Any]] = []
    noises: list[Tensor] = []
    for epoch in range(epochs):
        noise, batches = gumbel_noise(job, both, epoch), []
        for _, batch in passes_of(job).batches(both, epoch):
            batches.append((pixels(batch.images), batch.labels, (batch.places < len(cell.forget)).long()))
            noises.append(noise[batch.places])
        passes.append(batches)

    def sampled(scores: Tensor, tau: float | Tensor = 1, hard: bool = False, dim: int = -1) -> Tensor:
        # One draw serves both kinds of targets of a batch: hard ones come first, and each image uses one kind.
        noisy = scores + (noises[0] if hard else noises.pop(0))
        return nn.functional.one_hot(noisy.argmax(dim), scores.shape[dim]) if hard else (noisy / tau).softmax(dim)

    module: Any = official.module("unlearning_methods.lotus_class")
    module.args.lr, module.args.weight_decay, module.args.alpha = 0.001, 5e-4, 2.0
    val = [(pixels(cell.data.images["val"].permute(0, 3, 1, 2)), cell.data.labels["val"])]
    loaders = {
        "forget": in_order(cell, cell.forget, len(cell.forget)),
        "retain": in_order(cell, cell.retain, len(cell.retain)),
        "val": val,
    }
    parent = SimpleNamespace(
        dl=loaders, batch_size=BATCH, num_classes=NUM_CLASSES, model=theirs, epochs=epochs, dataset="", seed=0
    )
    with (
        patch.object(module, "set_seed"),
        patch.object(module, "DataLoader", lambda *_, **__: Prepared(passes)),
        patch.object(nn.functional, "gumbel_softmax", sampled),
    ):
        theirs, _ = module.LoTUS(parent).unlearn(0.3, False)
    return [weights_moved(cell, cell.unlearned(variant), theirs)]


SCRUB = "https://github.com/meghdadk/SCRUB"
LOOPS = "thirdparty/repdistiller/helper/loops.py"
COMPARISONS = {
    "scrub": Comparison(
        SCRUB,
        (LOOPS, "thirdparty/repdistiller/helper/util.py", "thirdparty/repdistiller/distiller_zoo/KD.py"),
        scrub,
        (CPU, LOADERS, NOTEBOOK, "an options object instead of the notebook's"),
        "thirdparty/repdistiller",
    ),
    "negative_gradient_plus": Comparison(
        SCRUB,
        (LOOPS,),
        negative_gradient_plus,
        (CPU, LOADERS, NOTEBOOK, "as many batches of D_f as an epoch takes"),
        "thirdparty/repdistiller",
        (
            "where D_f runs out within an epoch, the official code repeats its batches in the same order; ours "
            "shuffles D_f anew",
        ),
    ),
    "bad_teacher": Comparison(
        "https://github.com/vikram2000b/bad-teaching-unlearning",
        ("unlearn.py",),
        bad_teacher,
        (LOADERS, "the loop over epochs is written here, since the official one makes its own loader"),
        departures=(
            "the official code leaves the student in the mode in which it is given; ours trains in train mode",
        ),
    ),
    "lotus": Comparison(
        "https://github.com/cspartalis/LoTUS",
        ("src/unlearning_methods/lotus_class.py", "src/helpers/eval.py"),
        lotus,
        (
            LOADERS,
            "the seeds that it sets are left out",
            "`gumbel_softmax` adds our noise, the same for the soft and the hard target of an image, which uses one",
        ),
        "src",
        (
            "the official code rounds accuracies to two decimals; compared with sizes of D_f and the validation split "
            "for which this changes nothing",
        ),
        cell=partial(make_cell, num_forget=50),
    ),
    "delete": Comparison(
        "https://github.com/shaaaaron/DELETE",
        ("method/delete.py",),
        delete,
        (CPU, LOADERS, "its evaluation and its plot after each epoch are left out"),
    ),
}
