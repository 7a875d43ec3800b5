"""Contracts for every architecture, and the pieces of the small ViT against naive restatements."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from salun_grid.records.errors import InputError
from salun_grid.trainables.architectures import (
    ARCHITECTURES,
    build_model,
    check_architecture,
    count_macs,
    described,
    loaded_model,
    vit_small,
    with_architecture,
)
from salun_grid.trainables.architectures.base import Architecture, Classifier
from salun_grid.trainables.architectures.torchvision_nets import interpolated
from salun_grid.trainables.architectures.vit_small import Block, sine_cosine
from salun_grid.trainables.checkpoint import Checkpoints
from salun_grid.trainables.methods import METHODS, Unlearning, unlearn
from salun_grid.trainables.methods.variants import Variant
from salun_grid.trainables.protocol import (
    PROTOCOLS,
    AugmentationConfig,
    ModelConfig,
    Protocol,
    TrainingConfig,
    UnlearningConfig,
)
from salun_grid.trainables.resident import Augmenter
from salun_grid.trainables.seeds import Seeds
from salun_grid.trainables.training import learning_rate_at, train
from tests.support.oracles import equal_states

# Networks of torchvision are large; the contracts run on as small images as they take.
SIDE = {name: max(found.smallest, 8) for name, found in ARCHITECTURES.items()}
INDICES = torch.arange(48)


def config_of(name: str, **settings: object) -> ModelConfig:
    small = {"width": 4} if ARCHITECTURES[name].shaped else {}
    return ModelConfig(architecture=name, **(small | settings))


def images_of(name: str, count: int = 4) -> torch.Tensor:
    shape = (count, 3, SIDE[name], SIDE[name])
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


# Its 86 million weights take more time than all of the others' together.
EACH = [pytest.param(name, marks=[pytest.mark.slow] if name == "vit_b_16" else []) for name in ARCHITECTURES]


@pytest.mark.parametrize("name", EACH)
class TestArchitecture:
    def test_logits_are_float32_and_the_same_from_integers_and_fractions(self, name):
        model = build_model(config_of(name), 5, seed=0).eval()
        images = images_of(name)
        logits = model(images)
        assert (logits.shape, logits.dtype) == ((4, 5), torch.float32) and logits.isfinite().all()
        assert torch.equal(logits, model(images / 255))

    def test_a_seed_decides_the_weights_and_touches_no_other_stream(self, name):
        before = torch.get_rng_state()
        first, again, other = (build_model(config_of(name), 5, seed) for seed in (3, 3, 4))
        assert torch.equal(before, torch.get_rng_state())
        assert equal_states(first, again) and not equal_states(first, other)

    def test_the_last_layer_stays_in_float32_under_bf16(self, name):
        model = build_model(config_of(name, precision="bf16"), 5, seed=0).eval()
        seen = []
        model.fc.register_forward_hook(lambda layer, inputs, output: seen.append((inputs[0].dtype, output.dtype)))
        model(images_of(name))
        assert seen == [(torch.float32, torch.float32)]

    def test_a_step_reaches_every_weight(self, name):
        model = build_model(config_of(name), 5, seed=0).train()
        nn.functional.cross_entropy(model(images_of(name)), torch.arange(4)).backward()
        assert [key for key, weight in model.named_parameters() if weight.grad is None] == []

    def test_weights_can_be_published_and_loaded(self, name):
        model = build_model(config_of(name), 5, seed=0)
        weights = {key: tensor.clone() for key, tensor in model.state_dict().items()}
        loaded = loaded_model(config_of(name), 5, weights)
        assert equal_states(model, loaded)
        assert all(weight.requires_grad for weight in loaded.parameters())
        assert torch.equal(model.eval()(images_of(name)), loaded.eval()(images_of(name)))
        with pytest.raises(RuntimeError):
            loaded_model(config_of(name), 6, weights)

    def test_its_cost_is_counted_and_grows_with_the_image(self, name):
        small, large = (count_macs(ModelConfig(architecture=name), 5, side) for side in (32, 64))
        assert 0 < small < large

    def test_it_is_described_and_its_recipe_is_valid(self, name):
        protocol = with_architecture(PROTOCOLS["paper"], name)
        assert described(protocol.model).startswith(name)
        assert protocol.training == replace(PROTOCOLS["paper"].training, **ARCHITECTURES[name].recipe)


def test_the_counter_agrees_with_the_arithmetic_of_resnet18() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    for stem, side in (("3x3", 28), ("imagenet", 64)):
        config = ModelConfig(stem=stem, width=8)
        with FlopCounterMode(display=False) as counter:
            build_model(config, 5, 0).eval()(torch.zeros(1, 3, side, side))
        assert counter.get_total_flops() == 2 * count_macs(config, 5, side)


@pytest.mark.parametrize(
    ("config", "side", "message"),
    [
        (ModelConfig(architecture="vit_small"), 30, "at least 8 px in multiples of 4, not 30 px"),
        (ModelConfig(architecture="resnet50"), 8, "at least 32 px, not 8 px"),
        (ModelConfig(architecture="vit_small", width=32), 28, "apply only to resnet18"),
        (ModelConfig(architecture="densenet121", stem="imagenet"), 28, "apply only to resnet18"),
    ],
)
def test_what_an_architecture_does_not_take_is_refused(config: ModelConfig, side: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_architecture(config, 5, side)


def test_a_protocol_that_shapes_its_own_network_takes_others() -> None:
    assert PROTOCOLS["digits"].model.width != ModelConfig().width
    for name in ARCHITECTURES:
        protocol = with_architecture(PROTOCOLS["digits"], name)
        check_architecture(protocol.model, 5, 32)
        assert protocol.training.epochs == PROTOCOLS["digits"].training.epochs


def test_an_unknown_architecture_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown model\.architecture .* Did you mean 'vit_small'"):
        with_architecture(Protocol(), "vit_smal")


# --- the small ViT ------------------------------------------------------------------------------------------


def test_positions_are_sines_and_cosines_of_column_and_row() -> None:
    found = sine_cosine(2, 3, 16, torch.device("cpu"))
    for row in range(2):
        for column in range(3):
            wanted = []
            for place in (column, row):
                angles = [place * 10_000.0 ** -(i / 3) for i in range(4)]
                wanted += [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]
            assert found[3 * row + column].tolist() == pytest.approx(wanted, abs=1e-6)


def test_attention_is_the_softmax_of_scaled_products_head_by_head() -> None:
    torch.manual_seed(0)
    block, x = Block(), torch.randn(2, 5, 192)
    q, k, v = block.qkv(x).chunk(3, dim=2)
    heads = []
    for head in range(3):
        part = slice(64 * head, 64 * head + 64)
        weights = (q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(64)).softmax(2)
        heads.append(weights @ v[..., part])
    torch.testing.assert_close(block.attention(x), block.out(torch.cat(heads, dim=2)))


def test_positions_are_interpolated_to_the_grid_of_patches() -> None:
    positions = torch.randn(1, 1 + 14 * 14, 8, generator=torch.Generator().manual_seed(0))
    assert interpolated(positions, 14, 14) is positions
    found = interpolated(positions, 4, 2)
    assert found.shape == (1, 1 + 8, 8) and torch.equal(found[:, 0], positions[:, 0])
    constant = interpolated(torch.ones(1, 1 + 14 * 14, 8), 4, 2)
    torch.testing.assert_close(constant, torch.ones(1, 9, 8))


# --- its training -------------------------------------------------------------------------------------------

COSINE = TrainingConfig(
    epochs=6, batch_size=16, learning_rate=1e-3, optimizer="adamw", schedule="cosine", warmup_epochs=2
)


def test_the_learning_rate_rises_and_then_falls_along_a_cosine() -> None:
    wanted = [
        0.5e-3,
        1e-3,
        1e-3,
        1e-3 * (1 + math.cos(math.pi / 4)) / 2,
        0.5e-3,
        1e-3 * (1 - math.cos(math.pi / 4)) / 2,
    ]
    assert [learning_rate_at(epoch, COSINE) for epoch in range(6)] == pytest.approx(wanted)
    steps = replace(COSINE, schedule="steps")
    assert [learning_rate_at(epoch, steps) for epoch in range(6)] == pytest.approx([5e-4, 1e-3, 1e-3, 1e-4, 1e-5, 1e-5])


def trained(data, checkpoints: Checkpoints | None = None) -> nn.Module:
    model = build_model(config_of("vit_small"), data.num_classes, seed=0)
    augmenter = Augmenter("default", AugmentationConfig(), 0)
    train(model, data, INDICES, COSINE, augmenter, Seeds.all(0), checkpoints=checkpoints or Checkpoints())
    return model


def test_a_training_with_adamw_resumes_bit_for_bit(data) -> None:
    states: list[bytes] = []
    whole = trained(data, Checkpoints(save=states.append, min_seconds=0))
    assert len(states) == 6
    for state in states[:3]:
        assert equal_states(whole, trained(data, Checkpoints(load=lambda state=state: state)))


class Dropping(Classifier):
    """A network with dropout, which draws from PyTorch's global generator."""

    def __init__(self, config: ModelConfig, num_classes: int) -> None:
        super().__init__(config)
        self.first, self.dropout = nn.Conv2d(3, 8, 3), nn.Dropout(0.5)
        self.fc = nn.Linear(8, num_classes)
        self.memory_format = torch.contiguous_format

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.first(x).relu().mean((2, 3)))


class TestDropout:
    @pytest.fixture(autouse=True)
    def architecture(self, monkeypatch):
        monkeypatch.setitem(ARCHITECTURES, "dropping", Architecture(Dropping, "", ""))

    def trained(self, data, seed: int = 0, **states) -> nn.Module:
        model = build_model(ModelConfig(architecture="dropping"), data.num_classes, 0)
        config, augmenter = replace(COSINE, epochs=3), Augmenter("none", AugmentationConfig(), 0)
        seeds = replace(Seeds.all(0), order=seed)
        train(model, data, INDICES, config, augmenter, seeds, checkpoints=Checkpoints(**states))
        return model

    def test_a_training_resumes_bit_for_bit(self, data):
        states: list[bytes] = []
        whole = self.trained(data, save=states.append, min_seconds=0)
        torch.manual_seed(99)  # the global generator is in another state in another process
        assert equal_states(whole, self.trained(data, load=lambda: states[0]))

    def test_its_numbers_are_the_seeds_alone(self, data):
        first = self.trained(data)
        torch.manual_seed(99)
        before = torch.get_rng_state()
        assert equal_states(first, self.trained(data))
        assert torch.equal(before, torch.get_rng_state())

    def test_it_drops_other_values_in_each_epoch(self, data):
        model = build_model(ModelConfig(architecture="dropping"), data.num_classes, 0)
        seen = []
        model.dropout.register_forward_hook(lambda layer, inputs, output: seen.append(output == 0))
        config = replace(COSINE, epochs=2, batch_size=48, learning_rate=1e-12)
        train(model, data, INDICES, config, Augmenter("none", AugmentationConfig(), 0), Seeds.all(0))
        dropped = [each for each in seen if len(each) == 48]
        assert len(dropped) == 2 and not torch.equal(*dropped)

    def test_an_unlearning_is_decided_by_its_seeds_too(self, data):
        def unlearned() -> nn.Module:
            model = build_model(ModelConfig(architecture="dropping"), data.num_classes, seed=0)
            settings, mask = Variant("finetune").resolved(Protocol(unlearning=UnlearningConfig(epochs=1)))
            subsets = data.forget_and_retain(INDICES[:8], INDICES[8:32])
            augmenter = Augmenter("none", AugmentationConfig(), 0)
            job = Unlearning(model, model, data, *subsets, settings, augmenter, Seeds.all(0))
            unlearn(METHODS["finetune"], job, mask)
            return model

        first = unlearned()
        torch.manual_seed(99)
        before = torch.get_rng_state()
        assert equal_states(first, unlearned())
        assert torch.equal(before, torch.get_rng_state())


def test_adamw_is_pytorchs(data) -> None:
    """One step by hand: the decoupled decay, then Adam's first step, which is the sign of the gradient."""
    model = build_model(config_of("vit_small"), data.num_classes, seed=0)
    before = [weight.detach().clone() for weight in model.parameters()]
    one = TrainingConfig(
        epochs=1, batch_size=48, learning_rate=1e-3, weight_decay=0.1, optimizer="adamw", milestones=()
    )
    train(model, data, INDICES, one, Augmenter("none", AugmentationConfig(), 0), Seeds.all(0))
    for old, new in zip(before, model.parameters(), strict=True):
        moved = (new.detach() - old * (1 - 1e-3 * 0.1)).abs()
        assert moved.max() <= 1e-3 * 1.001


@pytest.mark.parametrize("method", METHODS)
def test_every_method_unlearns_a_vit(data, method, monkeypatch) -> None:
    """With two of its equal blocks."""
    monkeypatch.setattr(vit_small, "DEPTH", 2)
    model = build_model(config_of("vit_small"), data.num_classes, seed=0)
    settings, mask = Variant(method).resolved(Protocol(unlearning=UnlearningConfig(epochs=1, batch_size=16)))
    subsets = data.forget_and_retain(INDICES[:8], INDICES[8:32])
    augmenter = Augmenter("none", AugmentationConfig(), 0)
    unlearn(METHODS[method], Unlearning(model, model, data, *subsets, settings, augmenter, Seeds.all(0)), mask)
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
