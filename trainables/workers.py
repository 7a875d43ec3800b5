"""Several workers, one training: each takes a share of every global batch, and BatchNorm sees the whole of it."""

import warnings
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Worker:
    """One of `world` processes of a training, counted from 0. Above one, torch.distributed must be initialised."""

    rank: int = 0
    world: int = 1

    def share(self, batch: slice) -> slice:
        """This worker's images of a global batch: every `world`-th, so shares differ by one image at most."""
        return slice(batch.start + self.rank, batch.stop, self.world)

    def wrap(self, model: nn.Module) -> nn.Module:
        """`model` so that its backward pass sums gradients over all workers; the model itself where alone.

        DDP averages; a loss that is a sum over the share / images of the global batch must be scaled by `world`.
        """
        if self.world == 1:
            return model
        synchronise_batchnorm(model)
        device_ids = [torch.cuda.current_device()] if next(model.parameters()).is_cuda else None
        with warnings.catch_warnings():
            # Deprecated since torch 2.13 for an argument that 2.9 does not know.
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
            return DistributedDataParallel(model, device_ids=device_ids, broadcast_buffers=False)

    def total(self, value: Tensor) -> Tensor:
        """`value` summed over all workers, in place."""
        if self.world > 1:
            dist.all_reduce(value)
        return value


ALONE = Worker()


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm over the images of all workers, on any device (PyTorch's SyncBatchNorm knows GPUs only).

    Mean and biased variance over the global batch normalise; the running variance takes the unbiased one, all as
    nn.BatchNorm2d does with the whole batch in one process. A worker's share may be empty.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        precision = x.dtype
        x = x.to(self.weight.dtype)  # bf16 cannot hold a sum over a batch
        sums = torch.cat([x.sum((0, 2, 3)), x.new_tensor([x.numel() / x.shape[1]])])
        sums = summed(sums)
        count = sums[-1].detach()
        mean = sums[:-1] / count
        centred = x - mean[:, None, None]
        variance = summed(centred.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            self.num_batches_tracked += 1  # type: ignore[operator, assignment]
            self.running_mean.lerp_(mean, self.momentum)  # type: ignore[union-attr, arg-type]
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)  # type: ignore[union-attr, arg-type]
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(precision)


def synchronise_batchnorm(model: nn.Module) -> None:
    """Make every BatchNorm of `model` global, in place; parameters, buffers and their names stay."""
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = GlobalBatchNorm2d


class _Summed(torch.autograd.Function):
    """Sum over workers. Each worker's loss depends on the sum, so the gradient is summed over them as well."""

    @staticmethod
    def forward(ctx: object, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def summed(value: Tensor) -> Tensor:
    """The sum of `value` over all workers, differentiable."""
    return _Summed.apply(value)
