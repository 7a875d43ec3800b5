"""torch.compile around a training's full batches, an option: the same weights but for rounding, in less time.

PyTorch keeps what it compiled for the life of a process, and on disk for others (`TORCHINDUCTOR_CACHE_DIR`), so only a
machine's first job of a kind waits for the compiler, and its wait is counted apart.
"""

import torch
from torch import Tensor, nn

from salun_grid.trainables.passes import now
from salun_grid.trainables.resident import ResidentData


class FullBatches(nn.Module):
    """`model`, compiled for batches of `batch_size` images; a last batch of another size takes it as it is."""

    def __init__(self, model: nn.Module, batch_size: int) -> None:
        super().__init__()
        self.model, self.batch_size = model, batch_size
        self.compiled = torch.compile(model, dynamic=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.compiled(images) if len(images) == self.batch_size else self.model(images)


def compiled(model: nn.Module, data: ResidentData, batch_size: int) -> tuple[nn.Module, float]:
    """`model` for training on full batches of `data`, and the seconds that compiling took; the model is unchanged."""
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
