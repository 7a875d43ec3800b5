"""Each method against a naive restatement of its defining step, and the identities that tie methods together."""

import copy

import pytest
import torch
from torch import Tensor, nn

from salun_grid.trainables.methods.base import random_teacher
from salun_grid.trainables.seeds import derived_seed
from tests.support.oracles import equal_states, stream, tiny_model
from tests.support.restatements import EPOCHS, assert_close, batches, descend, made, plain_sgd
from tests.support.unlearning import FORGET, RATE, RETAIN, SEEDS

pytestmark = pytest.mark.usefixtures("double_precision")


# --- identities ---------------------------------------------------------------------------------------------

SAME = {
    "salun with all weights in the mask": ("salun:mask.fraction=1", "random_label"),
    "NegGrad+ with alpha 1": ("negative_gradient_plus:alpha=1", "finetune"),
    "ℓ1-sparse with alpha 0": ("l1_sparse:alpha=0", "finetune"),
    "CF-k with all blocks": ("cf_k:k=99", "finetune"),
    "SCRUB without distillation": ("scrub:ascent_epochs=0,alpha=0,decay_epochs=99", "finetune"),
    "a hard mask of all weights": ("finetune:mask.fraction=1,mask.mode=hard", "finetune"),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_two_names_of_one_method_are_bit_equal(data, one, other):
    assert equal_states(made(one, data), made(other, data))
    assert not equal_states(made(one, data), tiny_model())


# --- restatements -------------------------------------------------------------------------------------------


def test_finetune(data):
    model = tiny_model().train()
    optimizer = plain_sgd(model)
    for epoch in range(EPOCHS):
        for images, labels, _ in batches(data, "retain", RETAIN, epoch):
            descend(optimizer, nn.functional.cross_entropy(model(images), labels))
    assert equal_states(made("finetune", data), model)


def test_gradient_ascent(data):
    model = tiny_model().train()
    optimizer = plain_sgd(model)
    for epoch in range(EPOCHS):
        for images, labels, _ in batches(data, "forget", FORGET, epoch):
            descend(optimizer, -nn.functional.cross_entropy(model(images), labels))
    assert equal_states(made("gradient_ascent", data), model)


def test_negative_gradient_plus(data):
    """D_f is shuffled anew when it is used up: here twice an epoch."""
    model = tiny_model().train()
    optimizer = plain_sgd(model)
    for epoch in range(EPOCHS):
        forget = [*batches(data, "forget", FORGET, epoch), *batches(data, "forget", FORGET, epoch, "cycle", 1)]
        for (x_f, y_f, _), (x_r, y_r, _) in zip(forget, batches(data, "retain", RETAIN, epoch), strict=True):
            descent = 0.8 * nn.functional.cross_entropy(model(x_r), y_r)
            descend(optimizer, descent - (1 - 0.8) * nn.functional.cross_entropy(model(x_f), y_f))
    assert_close(made("negative_gradient_plus:alpha=0.8", data), model)


def test_l1_sparse(data):
    model = tiny_model().train()
    optimizer = plain_sgd(model)
    for epoch in range(EPOCHS):
        for images, labels, _ in batches(data, "retain", RETAIN, epoch):
            norm = sum(weight.abs().sum() for weight in model.parameters())
            penalty = 0.01 * (1 - epoch / EPOCHS) * norm
            descend(optimizer, nn.functional.cross_entropy(model(images), labels) + penalty)
    assert_close(made("l1_sparse:alpha=0.01", data), model)


def kl(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    """As PyTorch's own, the mean over images."""
    target, found = torch.softmax(teacher / temperature, 1), torch.log_softmax(student / temperature, 1)
    return nn.functional.kl_div(found, target, reduction="batchmean") * temperature**2


def test_scrub(data):
    """One epoch diverges on D_f and stays close on D_r, the next only stays close, at a tenth of the rate."""
    model, teacher = tiny_model().train(), tiny_model().eval()
    optimizer = plain_sgd(model)
    for epoch in range(EPOCHS):
        optimizer.param_groups[0]["lr"] = RATE if epoch == 0 else RATE * 0.1
        for images, _, _ in batches(data, "forget", FORGET, epoch) if epoch == 0 else []:
            descend(optimizer, -kl(teacher(images).detach(), model(images), 2.0))
        for images, labels, _ in batches(data, "retain", RETAIN, epoch):
            logits = model(images)
            distance = kl(teacher(images).detach(), logits, 2.0)
            descend(optimizer, 0.5 * distance + 1.0 * nn.functional.cross_entropy(logits, labels))
    assert_close(made("scrub:temperature=2,ascent_epochs=1,decay_epochs=1", data), model)


def test_bad_teacher(data):
    model, good = tiny_model().train(), tiny_model().eval()
    fresh = copy.deepcopy(model)
    order = torch.randperm(len(RETAIN), generator=stream(SEEDS.unlearning, "bad_teacher", "retain"))
    both = torch.cat([FORGET, RETAIN[order[:30].sort().values]])
    from salun_grid.trainables.architectures import build_model

    bad = build_model(fresh.config, data.num_classes, derived_seed(SEEDS.unlearning, "random teacher")).eval()
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    for epoch in range(EPOCHS):
        for images, _, places in batches(data, "mixed", both, epoch):
            teacher = torch.where((places < len(FORGET))[:, None], bad(images), good(images)).detach()
            found = torch.log_softmax(model(images), 1)
            divergence = nn.functional.kl_div(found, torch.softmax(teacher, 1), reduction="none")
            descend(optimizer, divergence.mean())
    assert_close(made("bad_teacher:retain_fraction=0.5", data), model)


@pytest.mark.parametrize(("k", "moved"), [(1, ["fc"]), (2, ["layer4", "fc"])])
def test_cf_k_moves_the_weights_of_the_last_blocks_alone(data, k, moved):
    ours, before = made(f"cf_k:k={k}", data), tiny_model()
    for (name, after), first in zip(ours.named_parameters(), before.parameters(), strict=True):
        assert torch.equal(after, first) is not any(name.startswith(f"{block}.") for block in moved)
        assert after.requires_grad


def test_a_random_teacher_is_no_original_and_depends_on_the_seed(data):
    from types import SimpleNamespace

    def teacher(seed: int) -> nn.Module:
        seeds = SimpleNamespace(unlearning=seed)
        return random_teacher(SimpleNamespace(model=tiny_model(), data=data, seeds=seeds))

    assert not equal_states(teacher(0), tiny_model())
    assert equal_states(teacher(0), teacher(0)) and not equal_states(teacher(0), teacher(1))
    assert not any(weight.requires_grad for weight in teacher(0).parameters())
