"""Two methods of the NeurIPS 2023 unlearning challenge, compared with DeepUnlearn (Cadet et al. 2024)."""

from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from benchmarks.agreement.cell import BATCH, Batches, Cell, Images, Prepared, batches_of
from benchmarks.agreement.comparison import LOADERS, Comparison, Measured, drawing, weights_moved
from benchmarks.agreement.official import Official

EPOCHS, RATE, FRACTION = 3, 0.01, 0.3
SETTINGS = f"epochs={EPOCHS},batch_size={BATCH},learning_rate={RATE}"
ADAPTATIONS = (
    "a configuration object instead of OmegaConf's",
    LOADERS,
)


def unlearner(official: Official, module: str, name: str, **settings: Any) -> Any:
    """One of the authors' unlearners, with our settings."""
    official.without_init("munl", "munl.unlearning")
    official.stand_in("munl.datasets", "munl.models", "munl.utils", "torch.utils.tensorboard")
    optimizer = SimpleNamespace(learning_rate=RATE, momentum=0.9, weight_decay=5e-4)
    cfg = SimpleNamespace(num_epochs=EPOCHS, optimizer=optimizer, **settings)
    return getattr(official.module(f"munl.unlearning.{module}"), name)(cfg, torch.device("cpu"))


def retain_batches(cell: Cell, job: Any) -> list[Batches]:
    return [batches_of(job, cell.retain, epoch) for epoch in range(EPOCHS)]


def ct(official: Official, cell: Cell) -> list[Measured]:
    variant, theirs = f"ct:{SETTINGS}", cell.copy()
    loader = Prepared(retain_batches(cell, cell.job(variant)))
    unlearner(official, "kgltop5", "KGLTop5").unlearn(theirs, loader, None, None)
    return [weights_moved(cell, cell.unlearned(variant), theirs)]


def msg(official: Official, cell: Cell) -> list[Measured]:
    """Compare with our sample of D_r for the gradients and our new weights given to the authors' code."""
    variant, theirs = f"msg:{SETTINGS},fraction={FRACTION}", cell.copy().eval()
    job = cell.job(variant)
    forget = Images(cell, cell.forget)
    retain = Prepared(retain_batches(cell, job), Images(cell, cell.retain))
    order = torch.randperm(len(cell.retain), generator=job.generator("msg", "retain"))
    method = unlearner(official, "kgltop2", "KGLTop2", init_rate=FRACTION)
    module, stream, draw = (
        official.module("munl.unlearning.kgltop2"),
        job.generator("msg", "weights"),
        nn.init.kaiming_normal_,
    )
    scored = module.get_grads_for_snip

    def gradients(model: nn.Module, *loaders: Any, **keywords: Any) -> None:
        # Later draws only order the sampled images, which does not affect the sum of gradients.
        with drawing("randperm", [order, *[torch.arange(len(forget))] * 9]):
            scored(model, *loaders, **keywords)

    def drawn(weight: Tensor, **keywords: Any) -> Tensor:
        # PyTorch initialises each new layer before the authors' code redraws it.
        return draw(weight, **keywords, generator=stream) if "mode" in keywords else draw(weight, **keywords)

    with patch.object(module, "get_grads_for_snip", gradients), patch.object(nn.init, "kaiming_normal_", drawn):
        method.unlearn(theirs, retain, Prepared([[(forget.images, forget.targets)]], forget), None)
    return [weights_moved(cell, cell.unlearned(variant), theirs)]


REPOSITORY = "https://github.com/xcadet/deepunlearn"
COMPARISONS = {
    "ct": Comparison(REPOSITORY, ("munl/unlearning/kgltop5.py",), ct, ADAPTATIONS),
    "msg": Comparison(
        REPOSITORY,
        ("munl/unlearning/kgltop2.py",),
        msg,
        (
            *ADAPTATIONS,
            "`torch.randperm` returns the images of D_r that ours draws, and `kaiming_normal_` our new weights",
            "the model is given in eval mode",
        ),
        departures=(
            "the official gradients are sums of the means of batches, ours are means over images; compared with one "
            "batch of each set, where they are equal",
            "the official code takes gradients in the mode in which the model is given, ours in eval mode",
        ),
    ),
}
