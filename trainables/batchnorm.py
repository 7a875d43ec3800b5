"""BatchNorm over the global batch of several workers: SyncBatchNorm on GPUs, GlobalBatchNorm2d on CPUs.

GlobalBatchNorm2d runs PyTorch's kernels on each worker's shard and adds two small collectives per layer.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from salun_grid.records.errors import InputError


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """nn.BatchNorm2d with statistics over the global batch.

    As in nn.BatchNorm2d, the biased variance normalises and the unbiased one updates the running variance. A worker's
    shard may be empty.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        y, mean, variance, count = _Normalised.apply(x, self.weight, self.bias, self.eps)
        with torch.no_grad():
            self.num_batches_tracked += 1  # type: ignore[operator, assignment]
            self.running_mean.lerp_(mean, self.momentum)  # type: ignore[union-attr, arg-type]
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)  # type: ignore[union-attr, arg-type]
        return y


def synchronise_batchnorm(model: nn.Module) -> None:
    """Make every BatchNorm of `model` global, in place; parameters, buffers and their names do not change.

    Uses SyncBatchNorm on GPUs and GlobalBatchNorm2d elsewhere. Raises InputError for a BatchNorm type that neither
    can replace.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and type(module) is not nn.BatchNorm2d:
            raise InputError(
                f"{name} is a {type(module).__name__}, which does not support several workers; use --workers 1."
            )
    if next(model.parameters()).is_cuda:
        nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = GlobalBatchNorm2d


class _Normalised(torch.autograd.Function):
    """Normalise this worker's shard; also returns the global statistics, which update the running ones."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        mean, variance, count = global_statistics(x, weight.dtype)
        ctx.save_for_backward(x, weight, mean, variance, count)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance, count)
        return batch_norm(x, mean, variance, weight, bias, eps=eps), mean, variance, count

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """w/σ · (g − mean of g − x̂ · mean of g·x̂), with both means over the global batch (Ioffe & Szegedy 2015)."""
        x, weight, mean, variance, count = ctx.saved_tensors
        inverse = torch.rsqrt(variance + ctx.eps)
        by_weight, by_bias = torch.zeros_like(weight), torch.zeros_like(weight)
        by_x = gradient
        if len(x):
            # With fixed statistics the kernel returns w/σ · g, Σ g·x̂ and Σ g. The CUDA kernel needs them passed twice.
            by_x, by_weight, by_bias = torch.ops.aten.native_batch_norm_backward(
                gradient, x, weight, mean, variance, mean, inverse, False, ctx.eps, [True, True, True]
            )
        sums = torch.stack([by_weight, by_bias])
        dist.all_reduce(sums)
        slope, intercept = sums * (weight * inverse / count)
        by_x = by_x - batch_norm(x, mean, variance, slope, intercept, eps=ctx.eps)
        return by_x, by_weight, by_bias, None


def global_statistics(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (C,), biased variance (C,) and values per channel, over the shards `x` (N, C, H, W) of all workers.

    `dtype` is the dtype of the statistics, since bf16 is too coarse for a sum over a batch.
    """
    channels = x.shape[1]
    own = torch.zeros(2 * channels + 1, dtype=dtype, device=x.device)
    if len(x):
        unused = own[:channels].clone()
        mean, variance = torch.batch_norm_update_stats(x, unused, unused, 0.0)
        own = torch.cat([mean, variance, own.new_full((1,), x.numel() // channels)])
    parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, own)
    means, variances, counts = torch.stack(parts).split([channels, channels, 1], dim=1)
    count = counts.sum()
    mean = (counts * means).sum(0) / count
    variance = (counts * (variances + (means - mean).square())).sum(0) / count
    return mean, variance, count
