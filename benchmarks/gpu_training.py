"""Benchmarks of a training epoch per precision, with and without torch.compile and CUDA graphs."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks import peer
from benchmarks.engine import NUM_CLASSES, MakeForward, Part, compile_model, our_epoch, pixels, reference_epoch
from benchmarks.gpu_variants import FULL, Case, MakeVariant, Size, TimeLeft, measured, require_cuda
from benchmarks.measure import DEVICE
from salun_grid.trainables.architectures import build_model
from salun_grid.trainables.compiled import FullBatches
from salun_grid.trainables.protocol import ModelConfig
from salun_grid.trainables.resident import ResidentData

AUGMENTATION = "default"
RESEARCH = "research style, fp32"


class Replayed(FullBatches):
    """A compiled `model` whose forward and backward passes are replayed as CUDA graphs."""

    def __init__(self, model: nn.Module, batch_size: int) -> None:
        super().__init__(model, batch_size)
        self.compiled = torch.compile(model, dynamic=False, mode="reduce-overhead")

    def forward(self, images: Tensor) -> Tensor:
        torch.compiler.cudagraph_mark_step_begin()  # outputs of the previous step may be overwritten
        return super().forward(images)


def compile_and_capture(model: nn.Module, data: ResidentData, batch_size: int) -> nn.Module:
    require_cuda()
    return Replayed(model, batch_size)


def capture(model: nn.Module, data: ResidentData, batch_size: int) -> nn.Module:
    """`model`, uncompiled, with its passes for one batch size captured as CUDA graphs."""
    require_cuda()
    model.train()
    side = data.images["train"].shape[1]
    sample = torch.zeros(batch_size, 3, side, side, dtype=torch.uint8, device=DEVICE)
    torch.cuda.make_graphed_callables(model, (sample.contiguous(memory_format=torch.channels_last),))
    return model


FORWARDS: dict[str, MakeForward | None] = {
    "": None,
    ", compiled": compile_model,
    ", CUDA graphs": capture,
    ", compiled with CUDA graphs": compile_and_capture,
}


def training(size: Size, precision: str, repetitions: int, folder: Path, time_left: TimeLeft) -> Case:
    """Throughput of an epoch with the augmentation `default` and checkpoints in `folder`."""
    part = pixels(size.num_train, size.image_size)
    variants: dict[str, MakeVariant] = {RESEARCH: partial(research_epoch, size, part, folder)}
    for name, make_forward in FORWARDS.items():
        variants[f"ours, {precision}{name}"] = partial(epoch_of_ours, size, precision, part, folder, make_forward)
    name = f"an epoch of {size.num_train:,} images, {size.image_size} px, batch {size.batch_size}"
    return measured(name, "images", size.num_train, variants, repetitions, time_left)


def research_model(size: Size) -> nn.Module:
    """The research-style ResNet-18; narrower models, which torchvision lacks, are ours."""
    if size.width == FULL.width:
        return peer.build("3x3", NUM_CLASSES)
    return build_model(ModelConfig(width=size.width), NUM_CLASSES, 0).to(DEVICE)


def research_epoch(size: Size, part: Part, folder: Path) -> Callable[[], None]:
    return reference_epoch("3x3", part, AUGMENTATION, folder, size.batch_size, research_model(size))


def epoch_of_ours(
    size: Size, precision: str, part: Part, folder: Path, make_forward: MakeForward | None = None
) -> Callable[[], None]:
    config = ModelConfig(width=size.width, precision=precision)
    return our_epoch(config, part, AUGMENTATION, folder, make_forward, size.batch_size)
