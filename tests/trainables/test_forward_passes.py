"""What a method says that it passes, against every forward pass that it makes."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn
from torch._C import _functorch as functorch

from salun_grid.trainables.architectures import Classifier
from salun_grid.trainables.methods import METHODS, PassCount
from salun_grid.trainables.methods.variants import Variant
from tests.support.unlearning import AT_WORK, BATCH, FORGET, RETAIN, protocol, unlearned

# A forward pass is a third of forward and backward; a backward pass to the pixels alone is another.
ALONE, TO_PIXELS, WHOLE = 1 / 3, 2 / 3, 1.0


@contextmanager
def forwards() -> Iterator[list[tuple[int, float]]]:
    """The images of each forward pass of a classifier within the block, and what each of them costs."""
    found: list[tuple[int, float]] = []
    forward = Classifier.forward

    def counted(model: nn.Module, images: Tensor) -> Tensor:
        found.append((num_images(images), cost(model)))
        return forward(model, images)

    Classifier.forward = counted  # type: ignore[method-assign, assignment]
    try:
        yield found
    finally:
        Classifier.forward = forward  # type: ignore[method-assign]


def num_images(images: Tensor) -> int:
    """All of them, where vmap shows one; 0 for the image of zeros by which BatchNorm's smallest batch is found."""
    image = images[0].numel()
    while functorch.is_functorch_wrapped_tensor(images):
        images = functorch.get_unwrapped(images)
    return images.numel() // image if images.any() else 0


def cost(model: nn.Module) -> float:
    if not torch.is_grad_enabled():
        return ALONE
    return WHOLE if any(weight.requires_grad for weight in model.parameters()) else TO_PIXELS


def claimed(method: str, data) -> float:
    """The cost in images of forward and backward passes that the method states, mask included."""
    variant = Variant.parse(AT_WORK.get(method, method))
    passes = METHODS[method].passes(variant.resolved(protocol())[0])
    forward = passes.forward_images(len(FORGET), len(RETAIN), len(data.labels["val"]))
    masked = len(FORGET) * METHODS[method].masked
    return passes.images(len(FORGET), len(RETAIN)) + forward / 3 + masked


@pytest.mark.parametrize("method", METHODS)
def test_every_forward_pass_of_a_method_is_counted(data, method):
    with forwards() as made:
        unlearned(AT_WORK.get(method, method), data)
    variant = Variant.parse(AT_WORK.get(method, method))
    paired = METHODS[method].passes(variant.resolved(protocol())[0]).paired
    # Each step of a paired pass takes a batch of D_f, whose last one may be short; thirds are rounded.
    spare = math.ceil(paired) * BATCH + 1
    assert abs(sum(count * cost for count, cost in made) - claimed(method, data)) <= spare


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if "original" in method.teachers])
def test_a_teachers_passes_are_seen(data, method):
    """Without them the count above would fail: they are many times what it spares."""
    with forwards() as made:
        unlearned(method, data)
    assert sum(count for count, cost in made if cost < WHOLE) > 2 * len(FORGET)


def test_passes_forward_alone_are_no_images_seen():
    passes = PassCount(retain=2, forward_forget=1, forward_retain=0.5, forward_validation=1)
    assert passes.images(10, 100) == 200
    assert passes.forward_images(10, 100, 7) == 10 + 50 + 7
