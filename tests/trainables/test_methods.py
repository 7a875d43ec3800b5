"""The unlearning methods: SalUn against a naive restatement, and contracts for every method."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor, nn

from salun_grid.records.errors import InputError
from salun_grid.trainables.methods import METHODS
from salun_grid.trainables.methods.random_label import draw_labels
from salun_grid.trainables.methods.variants import Variant
from salun_grid.trainables.passes import Epoch, Passes
from salun_grid.trainables.protocol import AugmentationConfig
from salun_grid.trainables.resident import ResidentData
from tests.support.oracles import (
    augment,
    batch_bounds,
    digits,
    equal_states,
    gradient_sums,
    stacked,
    stream,
    tiny_model,
    top_mask,
)
from tests.support.unlearning import (
    AT_WORK,
    BATCH,
    CONTRACT,
    EPOCHS,
    FORGET,
    RATE,
    RETAIN,
    SEEDS,
    protocol,
    unlearned,
    unlearned_once,
)

# Methods without a draw of their own, and what makes a method change a model where its default would not.
DRAW_NOTHING = {"ssd", "lfssd"}


# --- labels -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_classes", [8, 9, 11])
def test_labels_are_uniform_over_all_classes(num_classes):
    labels = draw_labels(9000, num_classes, seed=0, epoch=0)
    times = torch.bincount(labels, minlength=num_classes).tolist()
    assert labels.dtype == torch.int64 and len(times) == num_classes and min(times) > 0
    assert chisquare(times).pvalue > 0.01


@pytest.mark.parametrize("num_classes", [8, 9, 11])
def test_labels_may_equal_the_truth(num_classes):
    """About one in num_classes does, whatever the truth is."""
    labels = draw_labels(9000, num_classes, seed=0, epoch=0)
    for truth in (torch.arange(9000) % num_classes, torch.zeros(9000)):
        share = (labels == truth).float().mean().item()
        spread = (1 / num_classes * (1 - 1 / num_classes) / 9000) ** 0.5
        assert abs(share - 1 / num_classes) < 4 * spread


def test_labels_are_decided_by_seed_and_epoch():
    labels = {
        (seed, epoch): tuple(draw_labels(40, 9, seed, epoch).tolist()) for seed in range(4) for epoch in range(10)
    }
    assert len(set(labels.values())) == 40
    for (seed, epoch), drawn in labels.items():
        assert draw_labels(40, 9, seed, epoch).tolist() == list(drawn)
        wanted = torch.randint(0, 9, (40,), generator=stream(seed, "labels", epoch))
        assert list(drawn) == wanted.tolist()


# --- SalUn --------------------------------------------------------------------------------------------------


def test_each_epoch_passes_over_forget_and_then_retain(data):
    records: list[Epoch] = []
    unlearned("salun", data, on_epoch=records.append)
    assert [(record.epoch, record.phase, record.num_images) for record in records] == [
        (0, "forget", 30),
        (0, "retain", 60),
        (1, "forget", 30),
        (1, "retain", 60),
        (2, "forget", 30),
        (2, "retain", 60),
    ]
    assert {record.learning_rate for record in records} == {RATE}


def test_mixed_passes_once_over_both_with_the_same_labels(data, monkeypatch):
    records: list[Epoch] = []
    passes: list[tuple[Tensor, Tensor]] = []
    over = Passes.over

    def recorded(self, subset, epoch, loss=None):
        passes.append((subset.indices, subset.labels))
        return over(self, subset, epoch)

    monkeypatch.setattr(Passes, "over", recorded)
    unlearned("salun:order=mixed", data, on_epoch=records.append)
    assert [(record.epoch, record.phase, record.num_images) for record in records] == [
        (epoch, "mixed", 90) for epoch in range(EPOCHS)
    ]
    for epoch, (indices, targets) in enumerate(passes):
        assert indices.tolist() == [*FORGET.tolist(), *RETAIN.tolist()]
        labels = draw_labels(30, data.num_classes, SEEDS.unlearning, epoch)
        assert targets.tolist() == [*labels.tolist(), *data.labels["train"][RETAIN].tolist()]


def naive_mask(model: nn.Module, data: ResidentData, name: str, fraction: float) -> list[Tensor]:
    draws = stream(SEEDS.augmentation, "augmentation", "mask")
    inputs = augment(data.images["train"][FORGET], name, AugmentationConfig(), draws)
    sums = gradient_sums(model, inputs, data.labels["train"][FORGET], BATCH)
    return top_mask([total.abs() for total in sums], fraction)


def naive_salun(data: ResidentData, name: str, hard: bool, fraction: float = 0.5) -> nn.Module:
    """Mask, then each epoch D_f with random labels and D_r with its own, as the design page has it."""
    model = tiny_model()
    start = [parameter.detach().clone() for parameter in model.parameters()]
    mask = naive_mask(model, data, name, fraction)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9, weight_decay=5e-4)
    model.train()
    for epoch in range(EPOCHS):
        random = torch.randint(0, 10, (len(FORGET),), generator=stream(SEEDS.unlearning, "labels", epoch))
        passes = [("forget", FORGET, random), ("retain", RETAIN, data.labels["train"][RETAIN])]
        for phase, indices, labels in passes:
            order = torch.randperm(len(indices), generator=stream(SEEDS.unlearning, "order", phase, epoch)).tolist()
            draws = stream(SEEDS.augmentation, "augmentation", phase, epoch)
            images = torch.stack([data.images["train"][indices[i]] for i in order])
            inputs = augment(images, name, AugmentationConfig(), draws)
            targets = torch.stack([labels[i] for i in order])
            for first, stop in batch_bounds(len(order), BATCH):
                optimizer.zero_grad()
                logits = model(stacked(inputs[first:stop]))
                nn.functional.cross_entropy(logits, targets[first:stop]).backward()
                for parameter, kept in zip(model.parameters(), mask, strict=True):
                    parameter.grad *= kept
                optimizer.step()
                for parameter, kept, old in zip(model.parameters(), mask, start, strict=True):
                    if hard:
                        parameter.data[~kept] = old[~kept]
    return model


@pytest.mark.parametrize(("mode", "hard"), [("leaky", False), ("hard", True)])
@pytest.mark.parametrize(("name", "fraction"), [("none", 0.5), ("none", 0.1), ("default+ra", 0.3)])
def test_salun_is_bit_equal_to_the_naive_restatement(data, mode, hard, name, fraction):
    ours = unlearned("salun", data, name, settings=protocol(mode, fraction))
    assert equal_states(ours, naive_salun(data, name, hard, fraction))
    assert not equal_states(ours, naive_salun(data, name, not hard, fraction))


def test_salun_forgets_true_labels_only_through_the_mask(data):
    """D_f's own labels enter the mask alone: with every weight in the mask they change nothing."""
    poisoned = copy.deepcopy(data)
    poisoned.labels["train"][FORGET] = (poisoned.labels["train"][FORGET] + 1) % 10
    full, tenth = protocol(fraction=1.0), protocol(fraction=0.1)
    assert equal_states(unlearned("salun", data, settings=full), unlearned("salun", poisoned, settings=full))
    assert not equal_states(unlearned("salun", data, settings=tenth), unlearned("salun", poisoned, settings=tenth))


# --- contracts, for every method ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["none", "default", "default+ra"])
def test_a_method_leaves_a_finite_model_of_the_same_form(method, name):
    before, after = tiny_model().state_dict(), unlearned_once(method, name).model.state_dict()
    assert list(after) == list(before)
    for key, tensor in after.items():
        assert (tensor.shape, tensor.dtype) == (before[key].shape, before[key].dtype)
        assert tensor.isfinite().all()


@pytest.mark.parametrize("method", METHODS)
def test_the_images_of_its_passes_are_those_it_counts_beforehand(method):
    found = unlearned_once(AT_WORK.get(method, method), "none")
    assert not equal_states(found.model, tiny_model())
    settings, _ = Variant(method).resolved(CONTRACT)
    planned = METHODS[method].passes(settings).images(len(FORGET), len(RETAIN))
    paired = METHODS[method].passes(settings).paired
    # Each step of a paired pass takes a batch of D_f, whose last one may be short.
    assert abs(sum(record.num_images for record in found.epochs) - planned) <= math.ceil(paired) * BATCH


@pytest.mark.parametrize("method", METHODS)
def test_a_method_leaves_the_data_as_it_is(data, method):
    after = unlearned_once(method, "default+ra").data
    for split in data.images:
        assert torch.equal(data.images[split], after.images[split])
        assert torch.equal(data.labels[split], after.labels[split])


@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_deterministic(data, method):
    first = unlearned_once(method, "default+ra").model
    torch.manual_seed(2)
    assert equal_states(first, unlearned(method, data, "default+ra", settings=CONTRACT))


@pytest.mark.parametrize("method", METHODS)
def test_only_the_unlearning_and_augmentation_seeds_play_a_part(data, method):
    def with_seeds(**changes: int) -> nn.Module:
        return unlearned(variant, data, "default", replace(SEEDS, **changes), settings=CONTRACT)

    variant = AT_WORK.get(method, method)
    first = unlearned_once(variant, "default").model
    assert equal_states(first, with_seeds(initialisation=9, order=9, forget=9))
    assert not equal_states(first, with_seeds(augmentation=9))
    assert equal_states(first, with_seeds(unlearning=9)) is (method in DRAW_NOTHING)


@pytest.fixture(scope="module")
def a_tenth() -> list[Tensor]:
    """The mask of the tenth of the weights that is most salient, computed once for all methods."""
    return naive_mask(tiny_model(), digits(), "none", 0.1)


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.takes_mask])
def test_under_a_mask_a_method_moves_only_the_masks_weights_in_hard_mode(data, method, a_tenth):
    """At another fraction than the default one, so that the method's own setting decides."""
    start = tiny_model()
    model = unlearned(f"{method}:mask.fraction=0.1,mask.mode=hard", data, settings=CONTRACT)
    for first, last, kept in zip(start.parameters(), model.parameters(), a_tenth, strict=True):
        assert torch.equal(first[~kept], last[~kept])
    assert not equal_states(model, start)


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if not method.takes_mask])
@pytest.mark.parametrize("setting", ["mask.fraction=0.5", "mask.mode=hard"])
def test_a_method_that_changes_weights_outside_its_steps_refuses_a_mask(method, setting):
    with pytest.raises(InputError, match=rf"^method {method}: it takes no mask, .*; remove {setting.split('=')[0]}\.$"):
        Variant.parse(f"{method}:{setting}")
