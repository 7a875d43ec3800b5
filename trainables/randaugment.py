"""RandAugment (Cubuk et al. 2020) on batches: torchvision's kernels, one call for all images with the same draw."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

RANDAUGMENT_BINS = 31


def randaugment(images: Tensor, operations: Tensor, negative: Tensor, magnitude: int) -> Tensor:
    """Each image's K operations one after the other; images with the same one go together.

    `images` uint8 (N, 3, H, W); `operations` (N, K) indexes OPERATIONS and `negative` (N, K) is 1 for the minus
    sign, both int64 on the CPU; `magnitude` is a bin of 0 … 30.
    """
    images = images.clone()
    for k in range(operations.shape[1]):
        signed = (operations[:, k] >= SIGNED.start) & (operations[:, k] < SIGNED.stop)
        choice = operations[:, k] * 2 + negative[:, k] * signed
        for code in choice.unique().tolist():
            members = (choice == code).nonzero().squeeze(1).to(images.device)
            operation = OPERATIONS[code // 2]
            images[members] = operation(images[members], magnitude, -1.0 if code % 2 else 1.0)
    return images


# --- the operations: (uint8 images (n, 3, H, W), magnitude bin, sign) → images ------------------------------


def _level(maximum: float, magnitude: int) -> float:
    return float(torch.linspace(0.0, maximum, RANDAUGMENT_BINS)[magnitude])


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
    return F.solarize(images, float(torch.linspace(255.0, 0.0, RANDAUGMENT_BINS)[magnitude]))


def _enhance(adjust: Callable[[Tensor, float], Tensor]) -> Callable[[Tensor, int, float], Tensor]:
    return lambda images, magnitude, sign: adjust(images, 1.0 + sign * _level(0.9, magnitude))


# In torchvision's order; those in SIGNED go either way, so there are 23 distinct operations with their sign.
SIGNED = range(1, 10)
OPERATIONS: tuple[Callable[[Tensor, int, float], Tensor], ...] = (
    lambda images, magnitude, sign: images,
    shear_x,
    shear_y,
    translate_x,
    translate_y,
    rotate,
    _enhance(F.adjust_brightness),
    _enhance(F.adjust_saturation),
    _enhance(F.adjust_contrast),
    _enhance(F.adjust_sharpness),
    posterize,
    solarize,
    lambda images, magnitude, sign: F.autocontrast(images),
    lambda images, magnitude, sign: F.equalize(images),
)
