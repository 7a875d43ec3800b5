"""Crop, flip and RandAugment against the same on one image at a time, by numpy and torchvision."""

import inspect

import pytest
import torch
from torch import Tensor
from torchvision.transforms import _functional_tensor
from torchvision.transforms.autoaugment import RandAugment

from salun_grid.trainables import randaugment as ours
from salun_grid.trainables.augmentation import AUGMENTATIONS, Draws, apply
from salun_grid.trainables.protocol import AugmentationConfig
from salun_grid.trainables.resident import Augmenter
from tests.support.oracles import (
    OPERATION_NAMES,
    OPERATION_SIGNED,
    as_rgb,
    augment,
    randaugment_one,
    stacked,
    stream,
)

PAPER = AugmentationConfig()


def random_images(count: int, size: int, channels: int, seed: int = 0) -> Tensor:
    shape = (count, size, size, channels)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=stream(seed, "images"))


def drawn(name: str, count: int, size: int, config: AugmentationConfig = PAPER, seed: int = 0) -> Draws | None:
    return AUGMENTATIONS[name](count, size, config, stream(seed, "draws"))


def fields(draws: Draws | None) -> list[Tensor]:
    return [draws.offsets, draws.flips, draws.operations, draws.negative] if draws else []


# --- contracts, for every augmentation ----------------------------------------------------------------------


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 13])
def test_bytes_in_bytes_out(name, channels, size):
    images = random_images(9, size, channels)
    before = images.clone()
    out = apply(images, drawn(name, 9, size), PAPER)
    assert out.dtype == torch.uint8 and out.shape == (9, 3, size, size)
    assert out.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_same_stream_gives_the_same_images(name):
    images = random_images(30, 8, 3)
    first = apply(images, drawn(name, 30, 8), PAPER)
    assert torch.equal(first, apply(images, drawn(name, 30, 8), PAPER))
    other = drawn(name, 30, 8, seed=1)
    assert other is None or not torch.equal(first, apply(images, other, PAPER))


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sizes", [[1] * 24, [7, 7, 7, 3], [23, 1]])
def test_the_batch_split_does_not_matter(name, channels, sizes):
    images, draws = random_images(24, 12, channels), drawn(name, 24, 12)
    parts, start = [], 0
    for size in sizes:
        batch = slice(start, start + size)
        parts.append(apply(images[batch], draws[batch] if draws else None, PAPER))
        start += size
    assert torch.equal(torch.cat(parts), apply(images, draws, PAPER))


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 16, 33])
def test_equals_one_image_at_a_time(name, channels, size):
    images = random_images(60, size, channels)
    wanted = augment(images, name, PAPER, stream(0, "draws"))
    assert torch.equal(apply(images, drawn(name, 60, size), PAPER), stacked(wanted))


def test_an_augmenters_draws_come_from_its_own_named_stream():
    for name in AUGMENTATIONS:
        wanted = AUGMENTATIONS[name](20, 8, PAPER, stream(6, "augmentation", "train", 3))
        got = Augmenter(name, PAPER, 6).draws(20, 8, "train", 3)
        assert all(torch.equal(a, b) for a, b in zip(fields(got), fields(wanted), strict=True))


# --- none, crop and flip ------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_none_is_the_identity(channels):
    images = random_images(5, 8, channels)
    assert drawn("none", 5, 8) is None
    out = apply(images, None, PAPER)
    for c in range(3):
        assert torch.equal(out[:, c], images[..., c % channels])


@pytest.mark.parametrize(("probability", "flipped"), [(0.0, False), (1.0, True)])
def test_flip_probability_nought_and_one(probability, flipped):
    config = AugmentationConfig(crop_padding=0, flip_probability=probability)
    images = random_images(200, 6, 1)
    out = apply(images, drawn("default", 200, 6, config), config)
    assert torch.equal(out[:, 0], images[..., 0].flip(2) if flipped else images[..., 0])


def test_half_of_the_images_are_flipped():
    flips = drawn("default", 4000, 8).flips
    assert abs(flips.float().mean() - 0.5) < 4 * 0.5 / 4000**0.5


@pytest.mark.parametrize(("size", "padding"), [(64, 8), (32, 4), (28, 4), (8, 1), (224, 28)])
def test_padding_is_an_eighth_and_offsets_cover_all_of_it(size, padding):
    draws = drawn("default", 6000, size)
    assert draws.padding == padding
    for axis in range(2):
        assert sorted(set(draws.offsets[:, axis].tolist())) == list(range(2 * padding + 1))
    pairs = set(map(tuple, draws.offsets[:, :].tolist()))
    assert len(pairs) > 2 * padding + 1, "row and column are drawn apart"


# --- RandAugment --------------------------------------------------------------------------------------------


def test_randaugment_draws_each_image_apart_over_all_choices():
    draws = drawn("default+ra", 2000, 8)
    assert draws.operations.shape == draws.negative.shape == (2000, 2)
    for k in range(2):
        assert sorted(set(draws.operations[:, k].tolist())) == list(range(14))
        assert sorted(set(draws.negative[:, k].tolist())) == [0, 1]
    assert len(set(map(tuple, draws.operations.tolist()))) == 14 * 14
    crop_flip = drawn("default", 2000, 8)
    assert torch.equal(draws.offsets, crop_flip.offsets) and torch.equal(draws.flips, crop_flip.flips)


@pytest.mark.parametrize("magnitude", [9, 0, 1, 4, 15, 19, 30])
@pytest.mark.parametrize("size", [8, 17, 64])
def test_every_operation_and_sign_equals_torchvisions(magnitude, size):
    """Three images for each of the 14 × 2 draws, all in one batch."""
    codes = [(operation, negative) for operation in range(14) for negative in (0, 1)] * 3
    smooth = torch.arange(3 * size * size).reshape(1, size, size, 3) % 251
    images = torch.cat([random_images(56, size, 3), smooth.to(torch.uint8).expand(28, -1, -1, -1)])
    batch = torch.stack([as_rgb(image) for image in images])
    operations, negative = (torch.tensor(column)[:, None] for column in zip(*codes, strict=True))
    got = ours.randaugment(batch, operations, negative, magnitude)
    for i, (operation, minus) in enumerate(codes):
        wanted = randaugment_one(batch[i], operation, bool(minus), magnitude)
        assert torch.equal(got[i], wanted), (OPERATION_NAMES[operation], minus)


def test_there_are_23_operations_with_their_sign(monkeypatch):
    """All 28 draws in one batch make 23 calls: one for each operation and each sign that it heeds."""
    calls = []

    def spy(index: int):
        return lambda images, magnitude, sign: calls.append((index, sign, len(images))) or images

    monkeypatch.setattr(ours, "OPERATIONS", tuple(spy(index) for index in range(14)))
    operations, negative = torch.arange(14).repeat(2)[:, None], torch.arange(2).repeat_interleave(14)[:, None]
    ours.randaugment(torch.zeros(28, 3, 4, 4, dtype=torch.uint8), operations, negative, 9)
    wanted = []
    for index, signed in enumerate(OPERATION_SIGNED.values()):
        wanted += [(index, 1.0, 1), (index, -1.0, 1)] if signed else [(index, 1.0, 2)]
    assert len(wanted) == 23
    assert sorted(calls) == sorted(wanted)


KERNELS = ["affine", "rotate", "posterize", "solarize"]
KERNELS += [f"adjust_{what}" for what in ("brightness", "saturation", "contrast", "sharpness")]


def kernel_arguments(monkeypatch, act, *arguments) -> list:
    """What `act(*arguments)` passes to torchvision's kernels besides the image, defaults filled in."""
    seen = []

    def spy(name: str, kernel):
        def called(*args, **kwargs):
            bound = inspect.signature(kernel).bind(*args, **kwargs)
            bound.apply_defaults()
            seen.append((name, list(bound.arguments.items())[1:]))
            return args[0]

        return called

    with monkeypatch.context() as patched:
        for name in KERNELS:
            patched.setattr(_functional_tensor, name, spy(name, getattr(_functional_tensor, name)))
        act(*arguments)
    return seen


@pytest.mark.parametrize("operation", [choice for choice in range(14) if ours.OPERATIONS[choice] is not ours.sharpness])
@pytest.mark.parametrize("size", [(64, 64), (12, 20), (31, 7)])
def test_magnitudes_equal_torchvisions_space(monkeypatch, operation, size):
    """The kernels get the same numbers, bit for bit, for all 31 bins, both signs, wide and high images."""
    space = RandAugment()._augmentation_space(31, size)
    magnitudes = space[OPERATION_NAMES[operation]][0]
    image = torch.zeros(3, *size, dtype=torch.uint8)
    for magnitude in range(31):
        for sign in (1.0, -1.0):
            theirs = kernel_arguments(monkeypatch, randaugment_one, image, operation, sign < 0, magnitude)
            mine = kernel_arguments(monkeypatch, ours.OPERATIONS[operation], image[None], magnitude, sign)
            assert mine == theirs
            assert len(theirs) == magnitudes.ndim


@pytest.mark.parametrize("size", [(64, 64), (12, 20), (31, 7), (3, 3)])
def test_sharpness_is_torchvisions_bit_for_bit(size):
    """It calls no kernel of theirs, so the pixels are compared, for all 31 bins and both signs."""
    image = torch.randint(0, 256, (2, 3, *size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    for magnitude in range(31):
        for negative in (False, True):
            wanted = randaugment_one(image[0], OPERATION_NAMES.index("Sharpness"), negative, magnitude)
            found = ours.sharpness(image, magnitude, -1.0 if negative else 1.0)
            assert torch.equal(found[0], wanted)
