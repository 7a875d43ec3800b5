"""Batched augmentation with random parameters per image from an explicit generator.

Drawing is separate from applying. `Draws` holds the parameters of every image of an epoch, drawn on the CPU at the
start of the epoch: they are the same on every device and for any number of workers, and the host knows RandAugment's
groups without a device sync. `apply` works on uint8 batches on any device.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from salun_grid.trainables.protocol import AugmentationConfig

RANDAUGMENT_CHOICES = 14


@dataclass(frozen=True)
class Draws:
    """Parameters for N images: crop offsets (N, 2) in pixels, flips (N,), RandAugment's operations and signs (N, K)."""

    padding: int
    offsets: Tensor
    flips: Tensor
    operations: Tensor
    negative: Tensor

    def __getitem__(self, batch: slice | Tensor) -> "Draws":
        parts = (self.offsets, self.flips, self.operations, self.negative)
        return Draws(self.padding, *(part[batch] for part in parts))

    def to(self, device: torch.device) -> "Draws":
        """Move crops and flips to `device`; RandAugment's operations stay on the host, which groups images by them."""
        return Draws(self.padding, self.offsets.to(device), self.flips.to(device), self.operations, self.negative)


# --- drawing ----------------------------------------------------------------------------------------------

Draw = Callable[[int, int, AugmentationConfig, torch.Generator], Draws | None]


def draw_none(num_images: int, image_size: int, config: AugmentationConfig, generator: torch.Generator) -> None:
    """No augmentation."""
    return


def draw_default(num_images: int, image_size: int, config: AugmentationConfig, generator: torch.Generator) -> Draws:
    """Random crop from the zero-padded image, then horizontal flip."""
    padding = round(config.crop_padding * image_size)
    offsets = torch.randint(0, 2 * padding + 1, (num_images, 2), generator=generator)
    flips = torch.rand(num_images, generator=generator) < config.flip_probability
    no_operation = torch.empty(num_images, 0, dtype=torch.long)
    return Draws(padding, offsets, flips, no_operation, no_operation)


def draw_default_ra(num_images: int, image_size: int, config: AugmentationConfig, generator: torch.Generator) -> Draws:
    """`default`, then RandAugment (Cubuk et al. 2020): N operations of magnitude M, each sign equally likely."""
    crop_flip = draw_default(num_images, image_size, config, generator)
    shape = (num_images, config.randaugment_operations)
    operations = torch.randint(0, RANDAUGMENT_CHOICES, shape, generator=generator)
    negative = torch.randint(0, 2, shape, generator=generator)
    return Draws(crop_flip.padding, crop_flip.offsets, crop_flip.flips, operations, negative)


AUGMENTATIONS: dict[str, Draw] = {"none": draw_none, "default": draw_default, "default+ra": draw_default_ra}


# --- applying ---------------------------------------------------------------------------------------------

# Images augmented together: RandAugment makes a call for each of 23 groups, which this keeps large for any batch size.
AHEAD = 1024


def augmented_batches(
    images: Tensor, indices: Tensor, draws: Draws | None, config: AugmentationConfig, sizes: list[int]
) -> Iterator[Tensor]:
    """Batches of `images[indices]` with the given `sizes`, augmented; `draws` is in the order of `indices`.

    Parameters are per image, so a batch does not depend on how many images are augmented together.
    """
    batches_ahead, start = max(1, AHEAD // max(sizes)), 0
    for first in range(0, len(sizes), batches_ahead):
        together = sizes[first : first + batches_ahead]
        part = slice(start, start + sum(together))
        yield from apply(images[indices[part]], draws[part] if draws else None, config).split(together)
        start = part.stop


def apply(images: Tensor, draws: Draws | None, config: AugmentationConfig) -> Tensor:
    """Augmented uint8 (N, 3, H, W), channels_last, from uint8 (N, H, W, C); grey images get 3 channels."""
    if draws is not None:
        images = crop_and_flip(images, draws)
    batch = images.permute(0, 3, 1, 2)
    if batch.shape[1] == 1:
        batch = batch.expand(-1, 3, -1, -1)
    if draws is not None and draws.operations.shape[1]:
        from salun_grid.trainables.randaugment import randaugment  # imports torchvision, which takes seconds

        batch = randaugment(batch, draws.operations, draws.negative, config.randaugment_magnitude)
    return batch.contiguous(memory_format=torch.channels_last)


def crop_and_flip(images: Tensor, draws: Draws) -> Tensor:
    """Random crop and flip in one gather of every output pixel's source row and column; uint8 (N, H, W, C)."""
    num_images, size, _, num_channels = images.shape
    p = draws.padding
    padded = torch.nn.functional.pad(images, (0, 0, p, p, p, p))
    steps = torch.arange(size, device=images.device)
    rows = draws.offsets[:, :1] + steps
    columns = draws.offsets[:, 1:] + torch.where(draws.flips[:, None], size - 1 - steps, steps)
    image = torch.arange(num_images, device=images.device)[:, None, None]
    side = size + 2 * p
    sources = (image * side + rows[:, :, None]) * side + columns[:, None, :]
    return padded.view(-1, num_channels).index_select(0, sources.flatten()).view(images.shape)
