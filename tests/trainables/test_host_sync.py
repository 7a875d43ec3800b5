"""Within a pass nothing asks the device for a value: the host would stand still until the device has caught up."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from salun_grid.trainables import augmentation, passes
from salun_grid.trainables.optimizers import sgd
from salun_grid.trainables.passes import Passes
from salun_grid.trainables.protocol import AugmentationConfig
from salun_grid.trainables.resident import Augmenter, ResidentData
from tests.trainables.oracles import tiny_model

# Those that on a GPU wait for its answer: a value, or a shape that depends on values.
WAITING = {
    *("aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal", "aten::bincount"),
    *("aten::_unique2", "aten::unique_dim", "aten::unique_consecutive", "aten::repeat_interleave"),
}


class Watch(TorchDispatchMode):
    """Notes each operation that would wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        if function._schema.name in WAITING:
            self.waits.append(function._schema.name)
        return function(*arguments, **(keywords or {}))


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


@pytest.mark.parametrize("ask", [lambda images: images.sum().item(), torch.unique, torch.nonzero])
def test_a_question_in_each_step_is_seen(data, monkeypatch, ask):
    apply = augmentation.apply

    def asking(images, draws, config):
        ask(images)
        return apply(images, draws, config)

    monkeypatch.setattr(passes.augmentation, "apply", asking)
    monkeypatch.setattr(augmentation, "AHEAD", 32)
    assert len(waits_of_a_pass(data, "none")) >= 3


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
