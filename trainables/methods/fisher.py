"""Fisher forgetting (Golatkar et al. 2020, arXiv 1911.04933): noise on the weights that matter little to D_r.

Follows SalUn's and Unlearn-Sparse's code: the Fisher information uses the true labels, the standard deviation is
bounded, and that of the last layer is ten times as large. Golatkar et al. take the expectation over the model's
predicted labels, which needs a backward pass per class. The code detects the last layer by a last dimension of 10,
which with ten classes matches only its bias; here the factor applies to the whole layer, for any number of classes.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from salun_grid.trainables.methods.base import Method, PassCount, Settings, Unlearning
from salun_grid.trainables.methods.gradients import mean_squared_gradient
from salun_grid.trainables.methods.head import last_layer
from salun_grid.trainables.settings import setting

CODE = "SalUn's code"
# As in SalUn's code, which adds 1e-8 to each gradient; keeps the deviation finite where the information is 0.
LEAST_INFORMATION = 1e-16


@dataclass(frozen=True)
class FisherForgetting(Settings):
    """No training: one pass for the Fisher information, then one draw of noise."""

    gentler: ClassVar[tuple[str, str]] = ("lower", "alpha")

    alpha: float = setting(
        1e-8, at_least=0, below=100, doc="Variance of the noise at information 1.", source="1e-9 to 1e-6 are published"
    )
    max_deviation: float = setting(
        1e-3, at_least=0, below=100, doc="Upper bound of the standard deviation, before the factor.", source=CODE
    )
    last_layer_factor: float = setting(
        10.0, at_least=0, below=1000, doc="Factor of the noise in the last layer.", source=CODE
    )


@torch.no_grad()
def fisher(job: Unlearning[FisherForgetting]) -> None:
    """θ ← θ + min(√(α / F_r), bound) · N(0, 1), with the noise of the last layer scaled by its factor."""
    s, stream = job.settings, job.generator("fisher")
    information = mean_squared_gradient(job, job.retain)
    last = {id(weight) for weight in last_layer(job.model, job.data.num_classes).parameters()}
    for weight, known in zip(job.model.parameters(), information, strict=True):
        deviation = (s.alpha / (known + LEAST_INFORMATION)).sqrt().clamp(max=s.max_deviation)
        noise = torch.randn(weight.shape, generator=stream).to(weight)
        weight.add_(deviation * noise * (s.last_layer_factor if id(weight) in last else 1.0))


METHOD = Method(
    fisher,
    FisherForgetting,
    passes=lambda s: PassCount(retain=1),
    idea="Add noise where the weights matter little to D_r.",
    paper="Golatkar et al. 2020, arXiv 1911.04933",
    takes_mask=False,
    version=1,
)
