"""Several workers, one training: each takes a share of every global batch, and BatchNorm sees the whole of it."""

import warnings
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from salun_grid.trainables.batchnorm import synchronise_batchnorm


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
