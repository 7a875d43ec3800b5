"""More methods against naive restatements of their defining steps, and the identities that tie methods together."""

import math

import pytest
import torch
from torch import Tensor, nn

from salun_grid.trainables.methods.munba import bargain
from salun_grid.trainables.protocol import AugmentationConfig
from tests.support.oracles import augment, equal_states, gradient_sums, stream, tiny_model
from tests.support.restatements import EPOCHS, assert_close, batches, descend, made, pairs, plain_sgd
from tests.support.unlearning import BATCH, FORGET, RATE, RETAIN, SEEDS

pytestmark = pytest.mark.usefixtures("double_precision")


# --- identities ---------------------------------------------------------------------------------------------

SAME = {
    "UGradSL without smoothing": ("ugradsl:smoothing=0", "gradient_ascent"),
    "UGradSL+ without smoothing": (
        "ugradsl_plus:smoothing=0,retain_weight=0.75",
        "negative_gradient_plus:alpha=0.75",
    ),
    "UGradSL+ without neighbours": ("ugradsl_plus:neighbour_distance=0", "ugradsl_plus:smoothing=0"),
    "SalUn (soft) that puts nothing back": ("salun_soft:kept_fraction=0", "random_label"),
    "NegMerge of one task vector": ("neg_merge:factors=1,repeats=1", "task_arithmetic"),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_two_names_of_one_method_are_bit_equal(data, one, other):
    assert equal_states(made(one, data), made(other, data))
    assert not equal_states(made(one, data), tiny_model())


# --- UGradSL ------------------------------------------------------------------------------------------------


def smoothed(logits: Tensor, labels: Tensor, alphas: list[float]) -> Tensor:
    """The mean cross-entropy to (1 − α) · one-hot + α / C, image by image."""
    losses = []
    for row, label, alpha in zip(logits, labels, alphas, strict=True):
        target = torch.full_like(row, alpha / len(row))
        target[label] += 1 - alpha
        losses.append(-(target * torch.log_softmax(row, 0)).sum())
    return torch.stack(losses).mean()


def test_ugradsl(data):
    model = tiny_model().train()
    optimizer = plain_sgd(model)
    for epoch in range(EPOCHS):
        for images, labels, _ in batches(data, "forget", FORGET, epoch):
            descend(optimizer, -smoothed(model(images), labels, [-0.3] * len(labels)))
    assert_close(made("ugradsl:smoothing=-0.3", data), model)


def test_ugradsl_plus_smooths_by_the_neighbours_of_an_image(data):
    model = tiny_model().train()
    optimizer, shares = plain_sgd(model), set()
    for epoch in range(EPOCHS):
        for (x_f, y_f, _), (x_r, y_r, _) in pairs(data, epoch):
            logits_r = model(x_r)
            logits_f = model(x_f)
            alphas = []
            for mine in logits_f.softmax(1):
                apart = [0.5 * (mine - other).abs().sum().item() for other in logits_r.softmax(1)]
                alphas.append(-sum(distance < 0.2 for distance in apart) / len(apart))
            shares |= set(alphas)
            descent = 0.8 * nn.functional.cross_entropy(logits_r, y_r)
            descend(optimizer, descent - (1 - 0.8) * smoothed(logits_f, y_f, alphas))
    assert len(shares) > 3, "the distance must separate images for this test to see it"
    assert_close(made("ugradsl_plus:retain_weight=0.8,neighbour_distance=0.2", data), model)


# --- SFR-on -------------------------------------------------------------------------------------------------


def fisher(model: nn.Module, data, indices: Tensor) -> list[Tensor]:
    inputs, labels = augment(data.images["train"][indices], "none", AugmentationConfig(), None), data.labels["train"]
    sums = gradient_sums(model, inputs, labels[indices], BATCH, each=lambda gradient: gradient**2)
    return [total / math.ceil(len(indices) / BATCH) for total in sums]


@pytest.mark.parametrize("ratio", [0, 0.7, 1])
def test_sfron(data, ratio):
    """Every third step of D_r is preceded by an ascent on the next batch of D_f, shuffled anew when it is used up."""
    model = tiny_model()
    ratios = [
        (f + 1e-15) / (r + 1e-15) for f, r in zip(fisher(model, data, FORGET), fisher(model, data, RETAIN), strict=True)
    ]
    kept = [each >= ratio for each in ratios]
    share = torch.cat([each.flatten() for each in kept]).double().mean()
    assert share == 1 if ratio == 0 else 0 < share < 1
    optimizer = plain_sgd(model.train())
    cycles = [batches(data, "forget", FORGET, 0, *cycle) for cycle in ((), ("cycle", 1))]
    forget = iter([batch for cycle in cycles for batch in cycle])
    step = 0
    for epoch in range(EPOCHS):
        seen = 0
        for images, labels, _ in batches(data, "retain", RETAIN, epoch):
            fading = (1 + math.cos(math.pi * (seen + epoch * len(RETAIN)) / (EPOCHS * len(RETAIN)))) / 2
            optimizer.param_groups[0]["lr"] = RATE * fading
            if step % 3 == 0:
                x, y, _ = next(forget)
                losses = nn.functional.cross_entropy(model(x), y, reduction="none")
                weights = [loss.item() ** -0.5 for loss in losses]
                mean = sum(weight * loss for weight, loss in zip(weights, losses, strict=True)) / sum(weights)
                optimizer.zero_grad()
                (-2.0 * fading * mean).backward()
                for weight, part in zip(model.parameters(), kept, strict=True):
                    weight.grad[~part] = 0
                norm = math.sqrt(sum((weight.grad**2).sum().item() for weight in model.parameters()))
                for weight in model.parameters():
                    weight.grad *= min(1, 0.5 / norm)
                optimizer.step()
            descend(optimizer, nn.functional.cross_entropy(model(images), labels))
            seen, step = seen + len(labels), step + 1
    ours = made(f"sfron:forget_every=3,alpha=2,max_norm=0.5,ratio={ratio}", data)
    for mine, wanted in zip(ours.state_dict().values(), model.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-5, atol=1e-7)  # clip_grad_norm_ adds 1e-6 to the norm


# --- MUNBa --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_the_shares_solve_the_bargaining_equation(seed):
    """K α = 1 / α, as the paper has it, and as its own closed form."""
    random = torch.Generator().manual_seed(seed)
    retain, forget = torch.randn(50, generator=random), 3 * torch.randn(50, generator=random)
    shares = bargain(retain, forget)
    gram = torch.stack([retain, forget]) @ torch.stack([retain, forget]).T
    torch.testing.assert_close(gram @ shares, 1 / shares, rtol=1e-10, atol=0)
    (g1, g2), (_, g3) = gram.tolist()
    first = math.sqrt((g1 * g3 - g2 * math.sqrt(g1 * g3)) / (g1 * g1 * g3 - g1 * g2 * g2))
    torch.testing.assert_close(shares.tolist(), [first, (1 - g1 * first * first) / (g2 * first)], rtol=1e-8, atol=0)
    assert math.isclose((shares[0] * retain + shares[1] * forget).norm().item(), math.sqrt(2), rel_tol=1e-10)


@pytest.mark.parametrize("scale", [-2, 0])
def test_gradients_that_oppose_or_vanish_do_not_bargain(scale):
    assert bargain(torch.ones(3), scale * torch.ones(3)).tolist() == [1, 0.1]


def test_munba(data):
    """Two batches of D_f and four of D_r: the last two of D_r are steps of their own."""
    model = tiny_model().train()
    optimizer = plain_sgd(model)
    for epoch in range(EPOCHS):
        labels = torch.randint(0, 10, (len(FORGET),), generator=stream(SEEDS.unlearning, "labels", epoch))
        forget = batches(data, "forget", FORGET, epoch)
        for number, (x_r, y_r, _) in enumerate(batches(data, "retain", RETAIN, epoch)):
            loss_r = nn.functional.cross_entropy(model(x_r), y_r)
            if number >= len(forget):
                descend(optimizer, loss_r)
                continue
            x_f, _, places = forget[number]
            loss_f = nn.functional.cross_entropy(model(x_f), labels[places])
            g_r, g_f = (
                torch.cat([part.flatten() for part in torch.autograd.grad(loss, model.parameters(), retain_graph=True)])
                for loss in (loss_r, loss_f)
            )
            mixed = g_r / g_r.norm() + g_f / g_f.norm()
            # √2 in length before it is clipped at 0.7
            share = 0.7 / mixed.norm()
            optimizer.zero_grad()
            (share * (loss_r / g_r.norm() + loss_f / g_f.norm())).backward()
            optimizer.step()
    ours = made("munba:max_norm=0.7", data)
    for mine, wanted in zip(ours.state_dict().values(), model.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-5, atol=1e-7)  # clip_grad_norm_ adds 1e-6 to the norm
