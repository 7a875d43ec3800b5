"""Boundary expanding (Chen et al. 2023, arXiv 2303.11570): train D_f on an extra class, then drop it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from salun_grid.trainables.methods.base import Iterative, Method, PassCount, Unlearning
from salun_grid.trainables.methods.head import last_layer
from salun_grid.trainables.settings import setting

OFFICIAL = "official code"


@dataclass(frozen=True)
class BoundaryExpand(Iterative):
    """SGD with a constant learning rate, on D_f alone."""

    batch_size: int = setting(64, at_least=2, unit="images", source=OFFICIAL)
    learning_rate: float = setting(1e-5, above=0, below=100, source=OFFICIAL)
    weight_decay: float = setting(0.0, at_least=0, below=1, source=OFFICIAL)


def boundary_expand(job: Unlearning[BoundaryExpand]) -> None:
    """Minimise the cross-entropy on D_f to an extra class, which is then removed.

    With a mask, the weights of the extra class may change as well as the selected ones.
    """
    extra = torch.full_like(job.forget.labels, job.data.num_classes)
    with one_more_class(job):
        passes = job.passes(job.sgd())
        for epoch in range(job.settings.epochs):
            passes.over(job.forget.relabelled(extra), epoch)


@contextmanager
def one_more_class(job: Unlearning[Any]) -> Iterator[None]:
    """Add an output to the last layer within the context: Xavier-normal weights and bias 0, as in the official code."""
    layer = last_layer(job.model, job.data.num_classes)
    num_inputs, num_classes = layer.in_features, layer.out_features
    drawn = torch.randn(1, num_inputs, generator=job.generator("boundary_expand", "extra class"))
    row = drawn * (2 / (num_inputs + num_classes + 1)) ** 0.5
    if job.mask is not None:
        added = {id(weight) for weight in layer.parameters(recurse=False)}
        pairs = zip(job.model.parameters(), job.mask, strict=True)
        job.mask = [with_row(part, torch.ones(1)) if id(weight) in added else part for weight, part in pairs]
    layer.weight = nn.Parameter(with_row(layer.weight.detach(), row))
    if layer.bias is not None:
        layer.bias = nn.Parameter(with_row(layer.bias.detach(), torch.zeros(1)))
    layer.out_features += 1
    try:
        yield
    finally:
        layer.weight = nn.Parameter(layer.weight.detach()[:num_classes].clone())
        if layer.bias is not None:
            layer.bias = nn.Parameter(layer.bias.detach()[:num_classes].clone())
        layer.out_features = num_classes


def with_row(tensor: Tensor, row: Tensor) -> Tensor:
    """`tensor` (N, …) with `row`, broadcast, appended: (N + 1, …)."""
    return torch.cat([tensor, row.to(tensor).expand(1, *tensor.shape[1:])])


METHOD = Method(
    boundary_expand,
    BoundaryExpand,
    passes=lambda s: PassCount(forget=s.epochs),
    idea="Train D_f on an extra class, then drop that class.",
    paper="Chen et al. 2023, arXiv 2303.11570",
    version=1,
)
