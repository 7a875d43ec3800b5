"""The saliency mask and the masked step against naive restatements."""

import copy

import pytest
import torch
from torch import Tensor, nn

from salun_grid.records.errors import Diverged
from salun_grid.trainables.optimizers import apply_mask
from salun_grid.trainables.protocol import AugmentationConfig
from salun_grid.trainables.resident import Augmenter, ResidentData
from salun_grid.trainables.saliency import saliency, top_fraction, top_fractions
from tests.support.oracles import (
    augment,
    equal_lists,
    equal_states,
    gradient_sums,
    stream,
    tiny_model,
    top_mask,
)

FORGET = torch.arange(3, 300, 7)  # 43 images: a last batch of 11 at 16, of one at 21
FRACTIONS = [0.001, 0.1, 0.29, 0.3, 0.5, 0.7, 0.999, 1.0]


def augmenter(name: str = "none", seed: int = 0) -> Augmenter:
    return Augmenter(name, AugmentationConfig(), seed)


def saliency_mask(model, data, forget, augmenter, batch_size, fraction) -> list[Tensor]:
    return top_fraction(saliency(model, data, data.subset("forget", forget), augmenter, batch_size), fraction)


def as_lists(mask: list[Tensor]) -> list:
    return [part.tolist() for part in mask]


# --- ranking ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fraction", FRACTIONS)
@pytest.mark.parametrize("num_weights", [1, 7, 100, 1001])
def test_the_mask_has_exactly_int_n_t_ones(fraction, num_weights):
    scores = list(torch.rand(num_weights, generator=stream(0, "scores")).split(13))
    assert sum(int(part.sum()) for part in top_fraction(scores, fraction)) == int(num_weights * fraction)


@pytest.mark.parametrize("fraction", FRACTIONS)
def test_a_models_mask_has_exactly_int_n_t_ones(data, fraction):
    model = tiny_model()
    mask = saliency_mask(model, data, FORGET[:8], augmenter(), 8, fraction)
    total = sum(parameter.numel() for parameter in model.parameters())
    assert sum(int(part.sum()) for part in mask) == int(total * fraction)


@pytest.mark.parametrize("count", range(11))
def test_all_equal_scores_fill_up_from_the_first(count):
    """Earlier tensor first, then row-major."""
    mask = top_fraction([torch.ones(2, 2), torch.ones(3), torch.ones(1, 3)], (count + 0.5) / 10)
    assert [bool(value) for part in mask for value in part.flatten()] == [i < count for i in range(10)]


@pytest.mark.parametrize("fraction", FRACTIONS)
def test_ties_go_to_the_earlier_score(fraction):
    """1,200 scores of five values only, some tensors not contiguous."""
    generator = stream(1, "ties")
    shapes = [(30, 10), (600,), (5, 4, 3, 5)]
    scores = [torch.randint(0, 5, shape, generator=generator).float() for shape in shapes]
    scores[0] = scores[0].t()
    scores[2] = scores[2].to(memory_format=torch.channels_last)
    assert equal_lists(top_fraction(scores, fraction), top_mask(scores, fraction))


def test_many_fractions_at_once_are_each_as_alone():
    scores = list(torch.rand(1001, generator=stream(2, "scores")).split(13))
    for mask, fraction in zip(top_fractions(scores, FRACTIONS), FRACTIONS, strict=True):
        assert equal_lists(mask, top_mask(scores, fraction))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_saliency_that_is_no_number_is_said(value):
    with pytest.raises(Diverged, match="saliency"):
        top_fraction([torch.ones(3), torch.tensor([1.0, value])], 0.5)


def test_the_ranking_is_over_all_tensors_together():
    scores = [torch.tensor([1.0, 2.0]), torch.tensor([[9.0, 8.0], [0.5, 7.0]])]
    assert as_lists(top_fraction(scores, 0.5)) == [[False, False], [[True, True], [False, True]]]


# --- the scores ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["none", "default", "default+ra"])
@pytest.mark.parametrize("batch_size", [16, 21, 64])
@pytest.mark.parametrize("fraction", [0.1, 0.5])
def test_saliency_mask_equals_the_naive_mask(data, name, batch_size, fraction):
    model = tiny_model()
    inputs = augment(data.images["train"][FORGET], name, AugmentationConfig(), stream(5, "augmentation", "mask"))
    sums = gradient_sums(copy.deepcopy(model), inputs, data.labels["train"][FORGET], batch_size)
    mask = saliency_mask(model, data, FORGET, augmenter(name, 5), batch_size, fraction)
    assert all(part.dtype == torch.bool for part in mask)
    assert equal_lists(mask, top_mask([total.abs() for total in sums], fraction))


@pytest.mark.parametrize("wrong", [{"each": torch.abs}, {"reduction": "sum"}, {"mode": "train"}])
def test_other_scores_would_give_another_mask(data, wrong):
    """Abs before the sum, the sum of losses and train mode are told apart by the comparison above."""
    model = tiny_model()
    inputs = augment(data.images["train"][FORGET], "none", AugmentationConfig(), stream(0))
    sums = gradient_sums(copy.deepcopy(model), inputs, data.labels["train"][FORGET], 16, **wrong)
    mask = saliency_mask(model, data, FORGET, augmenter(), 16, 0.1)
    assert not equal_lists(mask, top_mask([total.abs() for total in sums], 0.1))


def test_opposite_gradients_of_two_batches_cancel():
    """A bright pixel pulls two batches opposite ways and cancels; a faint one, in one batch only, wins."""
    images = torch.zeros(4, 2, 2, 3, dtype=torch.uint8)
    images[:, 0, 0, 0] = 200
    images[:2, 1, 1, 2] = 3
    labels = torch.tensor([0, 0, 1, 1])
    data = ResidentData({"train": images}, {"train": labels}, 2)
    model = nn.Sequential(ToUnit(), nn.Flatten(), nn.Linear(12, 2, bias=False))
    nn.init.zeros_(model[2].weight)
    (mask,) = saliency_mask(model, data, torch.arange(4), augmenter(), 2, 2 / 24)
    bright, faint = 0, 11  # places of (channel, row, column) 0, 0, 0 and 2, 1, 1
    assert mask.nonzero().tolist() == [[0, faint], [1, faint]]
    inputs = augment(images, "none", AugmentationConfig(), stream(0))
    (abs_first,) = top_mask(gradient_sums(model, inputs, labels, 2, each=torch.abs), 2 / 24)
    assert abs_first.nonzero().tolist() == [[0, bright], [1, bright]]


class ToUnit(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images / 255


@pytest.mark.parametrize("name", ["none", "default+ra"])
def test_the_mask_changes_nothing_in_the_model(data, name):
    """Neither weights nor BatchNorm's running statistics, and no gradient stays behind."""
    model = tiny_model().train()
    before = copy.deepcopy(model)
    saliency_mask(model, data, FORGET, augmenter(name), 16, 0.5)
    assert equal_states(model, before)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_batchnorm_and_the_last_layer_take_part(data):
    """Every parameter has its tensor, in order; of these kinds some weights are chosen and some are not."""
    model = tiny_model()
    mask = saliency_mask(model, data, FORGET, augmenter(), 16, 0.5)
    parameters = dict(model.named_parameters())
    assert [part.shape for part in mask] == [parameter.shape for parameter in parameters.values()]
    named = dict(zip(parameters, mask, strict=True))
    batchnorm = torch.cat([part for name, part in named.items() if part.dim() == 1 and "fc" not in name])
    assert 0 < batchnorm.sum() < len(batchnorm)
    assert 0 < named["fc.weight"].sum() < named["fc.weight"].numel()


# --- the masked step ----------------------------------------------------------------------------------------

STEPS, RATE, MOMENTUM, DECAY = 25, 0.05, 0.9, 5e-3


SETTINGS = {"lr": RATE, "momentum": MOMENTUM, "weight_decay": DECAY}


def plain_sgd(model: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), **SETTINGS)


def backward(model: nn.Module, data: ResidentData, i: int) -> None:
    inputs = augment(data.images["train"][i * 8 : i * 8 + 8], "none", AugmentationConfig(), stream(0))
    model.zero_grad()
    loss = nn.functional.cross_entropy(model(torch.stack(inputs)), data.labels["train"][i * 8 : i * 8 + 8])
    loss.backward()


def random_mask(model: nn.Module) -> list[Tensor]:
    generator = stream(0, "random mask")
    return [torch.rand(parameter.shape, generator=generator) < 0.5 for parameter in model.parameters()]


def after_ours(start: nn.Module, data: ResidentData, mode: str) -> nn.Module:
    model = copy.deepcopy(start)
    optimizer = plain_sgd(model)
    apply_mask(optimizer, random_mask(model), mode)
    for i in range(STEPS):
        optimizer.zero_grad()
        backward(model, data, i)
        optimizer.step()
    return model


def after_naive(start: nn.Module, data: ResidentData, restore: bool) -> nn.Module:
    model = copy.deepcopy(start)
    optimizer, mask = plain_sgd(model), random_mask(model)
    for i in range(STEPS):
        backward(model, data, i)
        for parameter, kept in zip(model.parameters(), mask, strict=True):
            parameter.grad = parameter.grad * kept
        optimizer.step()
        if restore:
            for parameter, kept, first in zip(model.parameters(), mask, start.parameters(), strict=True):
                parameter.data[~kept] = first.data[~kept]
    return model


@pytest.mark.parametrize(("mode", "restore"), [("leaky", False), ("hard", True)])
def test_masked_step_is_bit_equal_to_the_naive_step(data, mode, restore):
    start = tiny_model()
    ours = after_ours(start, data, mode)
    assert equal_states(ours, after_naive(start, data, restore))
    assert not equal_states(ours, after_naive(start, data, not restore))


@pytest.mark.parametrize("mode", ["leaky", "hard"])
def test_a_gradient_in_another_order_of_memory_is_no_other_gradient(data, mode):
    ended = []
    for layout in (torch.contiguous_format, torch.channels_last):
        model = tiny_model()
        optimizer = plain_sgd(model)
        apply_mask(optimizer, random_mask(model), mode)
        backward(model, data, 0)
        for weight in model.parameters():
            if weight.dim() == 4:
                weight.grad = weight.grad.contiguous(memory_format=layout)
        optimizer.step()
        ended.append(model)
    assert equal_states(*ended)


@pytest.mark.parametrize("mode", ["leaky", "hard"])
def test_masked_weights_move_by_weight_decay_in_leaky_only(data, mode):
    start = tiny_model()
    ours = after_ours(start, data, mode)
    num_masked = 0
    for first, last, kept in zip(start.parameters(), ours.parameters(), random_mask(start), strict=True):
        masked = ~kept & (first != 0)
        if mode == "hard":
            assert torch.equal(last[~kept], first[~kept])
            num_masked += int((~kept).sum())
        else:
            assert (last[masked].abs() < first[masked].abs()).all()
            torch.testing.assert_close(last[masked], first[masked] * decayed(), rtol=1e-4, atol=0)
            num_masked += int(masked.sum())
        assert (last[kept] != first[kept]).any() or not kept.any()
    assert num_masked > 10_000


def decayed() -> float:
    """What weight decay with momentum leaves of a weight of 1 after all steps."""
    weight, velocity = 1.0, 0.0
    for _ in range(STEPS):
        velocity = MOMENTUM * velocity + DECAY * weight
        weight -= RATE * velocity
    return weight
