"""Influence unlearning with WoodFisher (Jia et al. 2023, arXiv 2304.04934; Singh & Alistarh 2020, arXiv 2004.14340).

To first order, the step is H⁻¹ times the change of the gradient when D_f is left out. As in the official code, one pass
over a sample of D_r approximates H⁻¹ by a recursion: o starts as the first image's gradient and stays a multiple of it,
whereas Woodbury's identity needs H⁻¹ times each image's gradient in turn. The curvature thus corrects only the
component of the step along one gradient. The official code uses the first 1,002 images of D_r and divides by 1,000;
here the sample is drawn, its size is a setting, and the divisor is that size.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from salun_grid.trainables.methods.base import Method, PassCount, Settings, Unlearning
from salun_grid.trainables.methods.gradients import mean_gradient, per_image_gradients
from salun_grid.trainables.resident import Subset
from salun_grid.trainables.settings import setting


@dataclass(frozen=True)
class Influence(Settings):
    """No training: three passes for gradients, then one step."""

    gentler: ClassVar[tuple[str, str]] = ("lower", "alpha")

    alpha: float = setting(
        2.0, at_least=0, below=1000, doc="Length of the step.", source="2 to 10 are published; official default 0.2"
    )
    samples: int = setting(
        1000, at_least=1, unit="images", doc="Sample of D_r for the curvature, drawn once.", source="official code"
    )


def influence(job: Unlearning[Influence]) -> None:
    """θ ← θ + α · k, where k starts as v = |D_f| / |D| · (∇CE_f − ∇CE_r) and o as the first sample's gradient.

    Each further gradient g of the n samples gives k ← k − (k·g) / (n + o·g) · o, then o ← o − (o·g) / (n + o·g) · o.
    """
    s = job.settings
    share = len(job.forget) / (len(job.forget) + len(job.retain))
    of_forget, of_retain = mean_gradient(job, job.forget), mean_gradient(job, job.retain)
    step = list(torch._foreach_mul(torch._foreach_sub(of_forget, of_retain), share))
    first, correction = curvature(job, step)
    with torch.no_grad():
        for weight, part, gradient in zip(job.model.parameters(), step, first, strict=True):
            weight.add_(part - correction * gradient, alpha=s.alpha)


def curvature(job: Unlearning[Influence], step: list[Tensor]) -> tuple[list[Tensor], float]:
    """The first sample's gradient g₁ and the c for which the recursion ends at k = `step` − c · g₁.

    As o is always a multiple of g₁, the recursion needs only g·`step` and g·g₁ of each gradient.
    """
    first: list[Tensor] = []
    along_step, along_first = [], []
    for gradients in per_image_gradients(job, sample(job)):
        first = first or [gradient[0].clone() for gradient in gradients]
        along_step.append(products(gradients, step))
        along_first.append(products(gradients, first))
        del gradients
    on_step, on_first = (torch.cat(parts).double().tolist() for parts in (along_step, along_first))
    correction, scale, num_samples = 0.0, 1.0, len(on_step)
    for by_step, by_first in zip(on_step[1:], on_first[1:], strict=True):
        weight = scale / (num_samples + scale * by_first)
        correction += weight * (by_step - correction * by_first)
        scale -= weight * scale * by_first
    return first, correction


def sample(job: Unlearning[Influence]) -> Subset:
    """A random sample of D_r, in random order."""
    order = torch.randperm(len(job.retain), generator=job.generator("influence", "sample"))
    return job.data.subset("sample", job.retain.indices[order[: job.settings.samples]])


def products(gradients: list[Tensor], vector: list[Tensor]) -> Tensor:
    """Inner products (B,) of per-image gradients, (B, *shape) per parameter, with `vector`."""
    parts = [gradient.flatten(1) @ part.flatten() for gradient, part in zip(gradients, vector, strict=True)]
    return torch.stack(parts).sum(0)


METHOD = Method(
    influence,
    Influence,
    passes=lambda s: PassCount(forget=1, retain=1, drawn=s.samples),
    idea="One Newton-like step that removes the influence of D_f.",
    paper="Jia et al. 2023, arXiv 2304.04934",
    takes_mask=False,
    version=1,
)
