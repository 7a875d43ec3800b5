"""Batched RandAugment (Cubuk et al. 2020): torchvision's kernels, one call per distinct operation and sign."""

import math
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F
from torchvision.transforms.v2 import functional as F2

RANDAUGMENT_BINS = 31
Operation = Callable[[Tensor, int, float], Tensor]


def randaugment(images: Tensor, operations: Tensor, negative: Tensor, magnitude: int) -> Tensor:
    """Apply each image's K operations in turn, grouping images with the same operation.

    `images` uint8 (N, 3, H, W); `operations` (N, K) indexes OPERATIONS and `negative` (N, K) is 1 for a negative
    sign, both int64 on the CPU; `magnitude` is a bin, 0 … 30.
    """
    images = images.clone()
    choices = operations.numpy()
    codes = 2 * choices + negative.numpy() * np.isin(choices, SIGNED)
    for k in range(codes.shape[1]):
        # The host forms the groups, so there is no device sync: it copies their indices once and slices the copy.
        order = codes[:, k].argsort(kind="stable")
        found, starts = np.unique(codes[order, k], return_index=True)
        places = copied(torch.from_numpy(order), images.device)
        for code, (start, stop) in zip(found.tolist(), pairwise([*starts.tolist(), len(order)]), strict=True):
            members = places[start:stop]
            images[members] = perform(code // 2, images[members], magnitude, -1.0 if code % 2 else 1.0)
    return images


def copied(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a CPU tensor to the device without a sync."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def perform(choice: int, images: Tensor, magnitude: int, sign: float) -> Tensor:
    """Apply one operation to all of `images`; geometric ones use a cached pixel map."""
    operation = OPERATIONS[choice]
    if choice not in GEOMETRIC:
        return operation(images, magnitude, sign)
    height, width = images.shape[-2:]
    sources, inside = pixel_map(operation, height, width, magnitude, sign, images.device)
    rows = images.permute(0, 2, 3, 1).flatten(1, 2)
    return (rows.index_select(1, sources) * inside).unflatten(1, (height, width)).permute(0, 3, 1, 2)


@lru_cache(maxsize=256)
def pixel_map(
    operation: Operation, height: int, width: int, magnitude: int, sign: float, device: torch.device
) -> tuple[Tensor, Tensor]:
    """The source index of each pixel, int64 (H · W,), and 0 if it is outside the image, else 1, uint8 (H · W, 1).

    Found by transforming an image of pixel indices: float32 is exact up to 2²⁴, and interpolation is nearest.
    """
    numbers = torch.arange(1, height * width + 1, dtype=torch.float32).view(1, 1, height, width)
    sources = operation(numbers, magnitude, sign).flatten().long()
    return (sources - 1).clamp(min=0).to(device), (sources > 0).to(device, torch.uint8)[:, None]


# --- the operations: (uint8 images (n, 3, H, W), magnitude bin, sign) → images ------------------------------


def _level(maximum: float, magnitude: int, first: float = 0.0) -> float:
    return torch.linspace(first, maximum, RANDAUGMENT_BINS).tolist()[magnitude]


def _affine(images: Tensor, translate: list[int], shear: list[float], center: list[int] | None) -> Tensor:
    return F.affine(
        images, 0.0, translate, 1.0, shear, interpolation=InterpolationMode.NEAREST, fill=None, center=center
    )


def shear_x(images: Tensor, magnitude: int, sign: float) -> Tensor:
    degrees = math.degrees(math.atan(sign * _level(0.3, magnitude)))
    return _affine(images, [0, 0], [degrees, 0.0], [0, 0])


def shear_y(images: Tensor, magnitude: int, sign: float) -> Tensor:
    degrees = math.degrees(math.atan(sign * _level(0.3, magnitude)))
    return _affine(images, [0, 0], [0.0, degrees], [0, 0])


def translate_x(images: Tensor, magnitude: int, sign: float) -> Tensor:
    return _affine(images, [int(sign * _level(150 / 331 * images.shape[-1], magnitude)), 0], [0.0, 0.0], None)


def translate_y(images: Tensor, magnitude: int, sign: float) -> Tensor:
    return _affine(images, [0, int(sign * _level(150 / 331 * images.shape[-2], magnitude))], [0.0, 0.0], None)


def rotate(images: Tensor, magnitude: int, sign: float) -> Tensor:
    return F.rotate(images, sign * _level(30.0, magnitude), interpolation=InterpolationMode.NEAREST)


def posterize(images: Tensor, magnitude: int, sign: float) -> Tensor:
    return F.posterize(images, 8 - round(magnitude / ((RANDAUGMENT_BINS - 1) / 4)))


def solarize(images: Tensor, magnitude: int, sign: float) -> Tensor:
    return F.solarize(images, _level(0.0, magnitude, first=255.0))


def sharpness(images: Tensor, magnitude: int, sign: float) -> Tensor:
    """torchvision's `adjust_sharpness` in integers; torchvision's own copies a number from the host (torch 2.11).

    The blur is the mean of 3×3 pixels with the centre counted 5 times. A sum over 13 is never halfway between two
    integers, so the rounding does not depend on the precision of the device's convolutions.
    """
    values = images.to(torch.int16)
    centre = values[..., 1:-1, 1:-1]
    in_rows = values[..., :-2] + values[..., 1:-1] + values[..., 2:]
    total = in_rows[..., :-2, :] + in_rows[..., 1:-1, :] + in_rows[..., 2:, :] + 4 * centre
    blurred = images.clone()
    blurred[..., 1:-1, 1:-1] = (2 * total + 13).div(26, rounding_mode="floor").to(torch.uint8)
    factor = 1.0 + sign * _level(0.9, magnitude)
    return (factor * images + (1.0 - factor) * blurred).clamp(0, 255).to(torch.uint8)


def _enhance(adjust: Callable[[Tensor, float], Tensor]) -> Operation:
    return lambda images, magnitude, sign: adjust(images, 1.0 + sign * _level(0.9, magnitude))


# In torchvision's order; those in SIGNED have two signs, which makes 23 distinct operations.
SIGNED = range(1, 10)
GEOMETRIC = range(1, 6)
OPERATIONS: tuple[Operation, ...] = (
    lambda images, magnitude, sign: images,
    shear_x,
    shear_y,
    translate_x,
    translate_y,
    rotate,
    _enhance(F.adjust_brightness),
    _enhance(F.adjust_saturation),
    _enhance(F.adjust_contrast),
    sharpness,
    posterize,
    solarize,
    lambda images, magnitude, sign: F.autocontrast(images),
    # The v1 equalize loops over images and channels, with a device sync in each.
    lambda images, magnitude, sign: F2.equalize(images),
)
