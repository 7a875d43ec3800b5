"""RandAugment (Cubuk et al. 2020) on batches: torchvision's kernels, one call for all images with the same draw."""

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
    """Each image's K operations one after the other; images with the same one go together.

    `images` uint8 (N, 3, H, W); `operations` (N, K) indexes OPERATIONS and `negative` (N, K) is 1 for the minus
    sign, both int64 on the CPU; `magnitude` is a bin of 0 … 30.
    """
    images = images.clone()
    choices = operations.numpy()
    codes = 2 * choices + negative.numpy() * np.isin(choices, SIGNED)
    for k in range(codes.shape[1]):
        # The host knows the groups, so that nothing waits for the device: one copy of their places, and slices of it.
        order = codes[:, k].argsort(kind="stable")
        found, starts = np.unique(codes[order, k], return_index=True)
        places = copied(torch.from_numpy(order), images.device)
        for code, (start, stop) in zip(found.tolist(), pairwise([*starts.tolist(), len(order)]), strict=True):
            members = places[start:stop]
            images[members] = perform(code // 2, images[members], magnitude, -1.0 if code % 2 else 1.0)
    return images


def copied(tensor: Tensor, device: torch.device) -> Tensor:
    """A CPU tensor on the device, without waiting for the device."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def perform(choice: int, images: Tensor, magnitude: int, sign: float) -> Tensor:
    """One operation on all of `images`; where it only moves pixels, by a map that torchvision drew once."""
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
    """Where each pixel comes from, int64 (H · W,), and 0 where it comes from outside, else 1, uint8 (H · W, 1).

    Read off an image that holds each pixel's own number: float32 is exact to 2²⁴, and nearest neighbours are copied.
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
    """torchvision's `adjust_sharpness` in whole numbers; with torch 2.11, its own copies a number from the host.

    The blur is the mean of 3×3 pixels with the centre counted 5 times: a sum over 13 is never half-way between two
    whole numbers, so that rounding is the same whatever the device's convolutions round to.
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


# In torchvision's order; those in SIGNED go either way, so there are 23 distinct operations with their sign.
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
    # The first version's goes image by image, channel by channel, and asks the device each time.
    lambda images, magnitude, sign: F2.equalize(images),
)
