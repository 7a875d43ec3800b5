"""Optional torch.compile for full training batches: faster, with the same weights up to rounding.

PyTorch caches compiled code in the process and on disk (`TORCHINDUCTOR_CACHE_DIR`), so only the first job of a kind on
a machine compiles; that time is recorded separately.
"""

import torch
from torch import Tensor, nn

from salun_grid.trainables.passes import now
from salun_grid.trainables.resident import ResidentData


class FullBatches(nn.Module):
    """`model`, compiled for batches of `batch_size` images; a smaller last batch runs uncompiled."""

    def __init__(self, model: nn.Module, batch_size: int) -> None:
        super().__init__()
        self.model, self.batch_size = model, batch_size
        self.compiled = torch.compile(model, dynamic=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.compiled(images) if len(images) == self.batch_size else self.model(images)


def compiled(model: nn.Module, data: ResidentData, batch_size: int) -> tuple[nn.Module, float]:
    """Compile `model` for full batches of `data`; returns it and the seconds of compilation. `model` is unchanged."""
    started = now(data.device)
    buffers = [buffer.clone() for buffer in model.buffers()]
    forward = FullBatches(model, batch_size).train()
    side = data.images["train"].shape[1]
    batch = torch.zeros(batch_size, 3, side, side, dtype=torch.uint8, device=data.device)
    forward(batch.contiguous(memory_format=torch.channels_last)).sum().backward()
    model.zero_grad()
    for buffer, before in zip(model.buffers(), buffers, strict=True):
        buffer.copy_(before)
    return forward, now(data.device) - started
