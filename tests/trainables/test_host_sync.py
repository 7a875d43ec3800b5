"""Within a pass nothing asks the device for a value: the host would stand still until the device has caught up.

The operations of augmentation, which run once for each batch and group, copy nothing between host and device either.
"""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from salun_grid.trainables import augmentation, passes, randaugment
from salun_grid.trainables.optimizers import sgd
from salun_grid.trainables.passes import Passes
from salun_grid.trainables.protocol import AugmentationConfig
from salun_grid.trainables.resident import Augmenter, ResidentData
from tests.support.host_sync import INDEXING, Watch
from tests.support.oracles import tiny_model


def waits_of_a_pass(data: ResidentData, name: str) -> list[str]:
    model = tiny_model()
    model.to(data.device)
    augmenter = Augmenter(name, AugmentationConfig(), 0)
    subset = data.subset("train", torch.arange(96))
    with Watch() as watch:
        Passes(model, sgd(model, 0.1, 0.9, 5e-4), data, augmenter, 32, 0).over(subset, 0)
    return watch.waits


@pytest.mark.parametrize("name", augmentation.AUGMENTATIONS)
def test_a_pass_asks_the_device_nothing(data, name):
    waits_of_a_pass(data, name)  # RandAugment computes its levels and maps at first use
    assert waits_of_a_pass(data, name) == []


def set_by_mask(images: Tensor) -> None:
    images[images > 99] = images[images > 99] // 2


QUESTIONS = {
    "a value": lambda images: images.sum().item(),
    "a condition": lambda images: bool((images > 99).any()),
    "distinct values": torch.unique,
    "places": torch.nonzero,
    "places of a condition": lambda images: torch.where(images > 99),
    "images by a mask": lambda images: images[images.sum((1, 2, 3)) > 99],
    "values by a mask": lambda images: images[images > 99],
    "values set by a mask": set_by_mask,
}


@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
def test_a_question_in_each_step_is_seen(data, monkeypatch, ask):
    apply = augmentation.apply

    def asking(images, draws, config):
        ask(images)
        return apply(images, draws, config)

    monkeypatch.setattr(passes.augmentation, "apply", asking)
    monkeypatch.setattr(augmentation, "AHEAD", 32)
    assert len(waits_of_a_pass(data, "none")) >= 3


def test_a_value_for_the_places_of_a_mask_is_no_question() -> None:
    images = torch.arange(12).view(3, 4)
    with Watch() as watch:
        images[images > 5] = 0
        images[torch.tensor([0, 2])] = images[torch.tensor([1, 1])]
    assert watch.waits == [] and images.tolist() == [[4, 5, 0, 0]] * 3


# --- copies, on a device that need not be there -----------------------------------------------------------------

CUDA = torch.device("cuda")


class Copies(TorchDispatchMode):
    """Notes each operation that moves a tensor between host and device, or indexes on one by places on the other."""

    def __init__(self) -> None:
        super().__init__()
        self.copies: list[str] = []

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        name = function._schema.name
        if name in {"aten::_to_copy", "aten::copy_", *INDEXING}:
            tensors = [leaf for leaf in tree_leaves((arguments, result)) if isinstance(leaf, Tensor)]
            if len({tensor.device.type for tensor in tensors}) > 1:
                self.copies.append(name)
        return result


@pytest.fixture
def on_cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tensor]:
    """Images on CUDA that have a shape and no values; whatever is called computes shapes and devices alone."""

    def level(maximum: float, magnitude: int, first: float = 0.0) -> float:
        return first + (maximum - first) * magnitude / 30

    monkeypatch.setattr(randaugment, "_level", level)  # its own reads a tensor, which has no values here
    randaugment.pixel_map.cache_clear()
    with FakeTensorMode():
        yield torch.zeros(5, 3, 8, 8, dtype=torch.uint8, device=CUDA)
    randaugment.pixel_map.cache_clear()


def copies_of(call: Callable[[], Tensor]) -> list[str]:
    """Those of a second call: maps of pixels are copied once."""
    call()
    with Copies() as watch:
        assert call().device.type == "cuda"
    return watch.copies


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("choice", range(augmentation.RANDAUGMENT_CHOICES))
def test_an_operation_copies_nothing(on_cuda: Tensor, choice: int, sign: float) -> None:
    assert copies_of(lambda: randaugment.perform(choice, on_cuda, 9, sign)) == []


def test_crop_and_flip_copy_nothing(on_cuda: Tensor) -> None:
    offsets, flips = torch.zeros(5, 2, dtype=torch.long, device=CUDA), torch.zeros(5, dtype=torch.bool, device=CUDA)
    draws = augmentation.Draws(1, offsets, flips, *2 * [torch.empty(5, 0, dtype=torch.long)])
    grey = torch.zeros(5, 8, 8, 1, dtype=torch.uint8, device=CUDA)
    assert copies_of(lambda: augmentation.apply(grey, draws, AugmentationConfig())) == []


COPYING = {
    "a constant": lambda images: images + torch.tensor([1, 2, 3], device=CUDA)[:, None, None],
    "to the device": lambda images: images * torch.ones(8).to(CUDA),
    "to the host and back": lambda images: images.cpu().flip(0).to(CUDA),
    "places on the host": lambda images: images[torch.arange(2)],
    "into a tensor": lambda images: images.copy_(torch.zeros(5, 3, 8, 8, dtype=torch.uint8)),
}


@pytest.mark.parametrize("call", COPYING.values(), ids=COPYING)
def test_a_copy_is_seen(on_cuda: Tensor, call: Callable[[Tensor], Tensor]) -> None:
    assert copies_of(lambda: call(on_cuda)) != []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA's own check needs a GPU")
@pytest.mark.parametrize("name", augmentation.AUGMENTATIONS)
def test_cuda_sees_no_wait_in_the_steps(data, monkeypatch, name):
    """PyTorch raises at each wait between the first batch's images and the last step."""
    cuda = torch.device("cuda")
    on_gpu = ResidentData(
        {split: images.to(cuda) for split, images in data.images.items()},
        {split: labels.to(cuda) for split, labels in data.labels.items()},
        data.num_classes,
    )
    waits_of_a_pass(on_gpu, name)  # cuDNN and the maps of RandAugment are set up at first use
    augmented = augmentation.augmented_batches

    def watched(*arguments):
        torch.cuda.set_sync_debug_mode("error")
        yield from augmented(*arguments)
        torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(augmentation, "augmented_batches", watched)
    try:
        waits_of_a_pass(on_gpu, name)
    finally:
        torch.cuda.set_sync_debug_mode("default")
