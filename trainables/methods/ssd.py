"""Selective synaptic dampening (Foster et al. 2024, arXiv 2308.07707): shrink the weights specific to D_f.

Importance is the diagonal of the Fisher information: the mean over images of the squared gradient, as in the paper's
equations. The official code instead squares the gradient of each batch's mean, which depends on the batch size.
D includes D_f, so a weight's importance to D is at least |D_f| / |D| times that to D_f. Hence no weight is selected
unless `alpha` is below |D| / |D_f|, and the published value is a no-op if 10 % or more are forgotten.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from salun_grid.trainables.methods.base import Method, PassCount, Settings, Unlearning
from salun_grid.trainables.methods.gradients import mean_absolute_gradient, mean_squared_gradient, squared_norm
from salun_grid.trainables.resident import Subset
from salun_grid.trainables.settings import setting


@dataclass(frozen=True)
class SelectiveSynapticDampening(Settings):
    """No training: two passes for the importances, then one change of the weights."""

    gentler: ClassVar[tuple[str, str]] = ("raise", "alpha")

    alpha: float = setting(
        10.0,
        at_least=0,
        doc="A weight is dampened if its importance to D_f exceeds alpha times that to D; none from |D| / |D_f| on.",
        source="the paper",
    )
    dampening: float = setting(
        1.0,
        at_least=0,
        doc="λ; a dampened weight is multiplied by λ · importance to D / importance to D_f.",
        source="the paper",
    )


def ssd(job: Unlearning[SelectiveSynapticDampening]) -> None:
    """θ ← min(λ · F_D / F_f, 1) · θ where F_f > α · F_D, with the Fisher information of the cross-entropy."""
    dampen(job, lambda subset: mean_squared_gradient(job, subset))


def lfssd(job: Unlearning[SelectiveSynapticDampening]) -> None:
    """As `ssd`, with the mean |gradient| of ‖f(x)‖² as importance, which needs no labels.

    This follows the README of the official code; its `ssd` squares each gradient, its `lfssd` does not.
    """
    dampen(job, lambda subset: mean_absolute_gradient(job, subset, squared_norm))


@torch.no_grad()
def dampen(job: Unlearning[SelectiveSynapticDampening], importance: Callable[[Subset], list[Tensor]]) -> None:
    s, num_forget, num_retain = job.settings, len(job.forget), len(job.retain)
    to_forget, to_retain = importance(job.forget), importance(job.retain)
    for weight, forget, retain in zip(job.model.parameters(), to_forget, to_retain, strict=True):
        both = (num_forget * forget + num_retain * retain) / (num_forget + num_retain)
        dampened = (s.dampening * both / forget).clamp(max=1) * weight
        weight.copy_(torch.where(forget > s.alpha * both, dampened, weight))


METHOD = Method(
    ssd,
    SelectiveSynapticDampening,
    passes=lambda s: PassCount(forget=1, retain=1),
    idea="Shrink the weights that matter much more to D_f than to all images.",
    paper="Foster et al. 2024, arXiv 2308.07707",
    takes_mask=False,
    version=1,
)
LOSS_FREE = replace(
    METHOD,
    unlearn=lfssd,
    idea="ssd without labels: the importance is from the norm of the logits.",
    paper="Foster et al. 2024, arXiv 2402.19308",
    version=2,
)
