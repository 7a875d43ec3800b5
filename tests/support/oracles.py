"""Naive restatements of the design's formulas, in plain loops, and small helpers around them."""

import hashlib
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode
from torchvision.transforms.autoaugment import RandAugment, _apply_op

from salun_grid.trainables.architectures import build_model
from salun_grid.trainables.data import describe, load
from salun_grid.trainables.protocol import AugmentationConfig, ModelConfig
from salun_grid.trainables.resident import ResidentData

# torchvision's order and, for each operation, whether it goes either way.
OPERATION_SIGNED = {name: signed for name, (_, signed) in RandAugment()._augmentation_space(31, (8, 8)).items()}
OPERATION_NAMES = list(OPERATION_SIGNED)


def digits() -> ResidentData:
    return ResidentData.of(load(describe("digits", 0)), torch.device("cpu"))


def tiny_model(num_classes: int = 10, seed: int = 0) -> nn.Module:
    return build_model(ModelConfig(width=4), num_classes, seed)


def stream(seed: int, *purpose: object) -> torch.Generator:
    """The generator of (seed, purpose), from the digest's text instead of its bytes."""
    name = f"{seed}" + "".join(f"/{part}" for part in purpose)
    return torch.Generator().manual_seed(int(hashlib.sha256(name.encode()).hexdigest()[:16], 16) // 2)


def as_rgb(image: Tensor) -> Tensor:
    """uint8 (H, W, C) → (3, H, W)."""
    return torch.stack([image[:, :, c % image.shape[2]] for c in range(3)])


def stacked(images: list[Tensor]) -> Tensor:
    return torch.stack(images).contiguous(memory_format=torch.channels_last)


def crop_flip(image: Tensor, row: int, column: int, flip: bool, padding: int) -> Tensor:
    """One uint8 (H, W, C) image: pad with zeros, slice, mirror."""
    size = image.shape[0]
    padded = np.pad(image.numpy(), ((padding, padding), (padding, padding), (0, 0)))
    window = padded[row : row + size, column : column + size]
    return torch.from_numpy((window[:, ::-1] if flip else window).copy())


def randaugment_one(image: Tensor, operation: int, negative: bool, magnitude: int) -> Tensor:
    """torchvision's own operation on one uint8 (3, H, W) image."""
    name = OPERATION_NAMES[operation]
    magnitudes, signed = RandAugment()._augmentation_space(31, (image.shape[1], image.shape[2]))[name]
    value = float(magnitudes[magnitude]) if magnitudes.ndim else 0.0
    value = -value if signed and negative else value
    return _apply_op(image, name, value, InterpolationMode.NEAREST, None)


def augment(images: Tensor, name: str, config: AugmentationConfig, generator: torch.Generator) -> list[Tensor]:
    """Each uint8 (H, W, C) image of a pass augmented by itself, as (3, H, W)."""
    if name == "none":
        return [as_rgb(image) for image in images]
    count, size = len(images), images.shape[1]
    padding = round(config.crop_padding * size)
    offsets = torch.randint(0, 2 * padding + 1, (count, 2), generator=generator).tolist()
    flips = (torch.rand(count, generator=generator) < config.flip_probability).tolist()
    out = [
        as_rgb(crop_flip(image, row, column, flip, padding))
        for image, (row, column), flip in zip(images, offsets, flips, strict=True)
    ]
    if name == "default+ra":
        shape = (count, config.randaugment_operations)
        operations = torch.randint(0, 14, shape, generator=generator).tolist()
        negatives = torch.randint(0, 2, shape, generator=generator).tolist()
        for i in range(count):
            for operation, negative in zip(operations[i], negatives[i], strict=True):
                out[i] = randaugment_one(out[i], operation, negative == 1, config.randaugment_magnitude)
    return out


def batch_bounds(count: int, batch_size: int) -> list[tuple[int, int]]:
    """(first, last + 1) of each batch; a lonely last image joins the batch before."""
    sizes = [batch_size] * (count // batch_size)
    if count % batch_size == 1 and sizes:
        sizes[-1] += 1
    elif count % batch_size:
        sizes.append(count % batch_size)
    ends = np.cumsum(sizes).tolist()
    return list(zip([0, *ends], ends, strict=False))


def gradient_sums(
    model: nn.Module,
    inputs: list[Tensor],
    labels: Tensor,
    batch_size: int,
    each: Callable[[Tensor], Tensor] = lambda gradient: gradient,
    reduction: str = "mean",
    mode: str = "eval",
) -> list[Tensor]:
    """For each parameter the sum over batches of `each`(gradient of the cross-entropy)."""
    model.train(mode == "train")
    sums = [torch.zeros_like(parameter) for parameter in model.parameters()]
    for start in range(0, len(inputs), batch_size):
        stop = start + batch_size  # eval mode: a last batch of one image stays alone
        model.zero_grad()
        logits = model(stacked(inputs[start:stop]))
        nn.functional.cross_entropy(logits, labels[start:stop], reduction=reduction).backward()
        for total, parameter in zip(sums, model.parameters(), strict=True):
            total += each(parameter.grad)
    model.zero_grad()
    return sums


def top_mask(scores: list[Tensor], fraction: float) -> list[Tensor]:
    """The int(N · fraction) highest scores over all tensors; a tie goes to the one met first."""
    flat = [value for score in scores for value in score.flatten().tolist()]
    ranked = sorted(range(len(flat)), key=lambda place: (-flat[place], place))
    chosen = set(ranked[: int(len(flat) * fraction)])
    mask, place = [], 0
    for score in scores:
        ones = [place + i in chosen for i in range(score.numel())]
        mask.append(torch.tensor(ones).reshape(score.shape))
        place += score.numel()
    return mask


def equal_lists(left: list[Tensor], right: list[Tensor]) -> bool:
    return len(left) == len(right) and all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def equal_states(left: nn.Module, right: nn.Module) -> bool:
    """Whether two models have the same names and bit-equal weights and buffers."""
    a, b = left.state_dict(), right.state_dict()
    return list(a) == list(b) and equal_lists(list(a.values()), list(b.values()))
