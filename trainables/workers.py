"""Data-parallel training: each worker takes a shard of every global batch; BatchNorm uses the whole batch."""

import warnings
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from salun_grid.trainables.batchnorm import synchronise_batchnorm


@dataclass(frozen=True)
class Worker:
    """Process `rank` of the `world` processes of a training; several need torch.distributed initialised."""

    rank: int = 0
    world: int = 1

    def share(self, batch: slice) -> slice:
        """This worker's shard of a global batch: every `world`-th image, so shards differ by at most one image."""
        return slice(batch.start + self.rank, batch.stop, self.world)

    def wrap(self, model: nn.Module) -> nn.Module:
        """`model` wrapped so that its backward pass averages gradients over all workers; `model` itself for one worker.

        As DDP averages, a sum of losses over the shard / images of the global batch must be scaled by `world`.
        """
        if self.world == 1:
            return model
        synchronise_batchnorm(model)
        device_ids = [torch.cuda.current_device()] if next(model.parameters()).is_cuda else None
        with warnings.catch_warnings():
            # Deprecated since torch 2.13 in favour of an argument that 2.9 lacks.
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
            return DistributedDataParallel(model, device_ids=device_ids, broadcast_buffers=False)

    def total(self, value: Tensor) -> Tensor:
        """`value` summed over all workers, in place."""
        if self.world > 1:
            dist.all_reduce(value)
        return value


ALONE = Worker()
