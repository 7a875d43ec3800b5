"""More methods against naive restatements of their defining steps, and the identities that tie methods together."""

import math

import pytest
import torch
from torch import Tensor, nn

from salun_grid.trainables.errors import InputError
from salun_grid.trainables.methods import METHODS
from salun_grid.trainables.methods.amun import attacked, nearest_wrong
from salun_grid.trainables.methods.munba import bargain
from salun_grid.trainables.protocol import AugmentationConfig
from tests.trainables.oracles import as_rgb, augment, equal_lists, equal_states, gradient_sums, stream, tiny_model
from tests.trainables.test_method_oracles import (
    EPOCHS,
    KNOWN,
    assert_close,
    batches,
    descend,
    double_precision,  # noqa: F401
    made,
    plain_sgd,
)
from tests.trainables.test_methods import BATCH, FORGET, RATE, RETAIN, SEEDS, unlearned

Pairs = list[tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]]


def pairs(data, epoch: int) -> Pairs:
    """The batches of D_f, which is shuffled anew when it is used up, with those of D_r."""
    forget = [*batches(data, "forget", FORGET, epoch), *batches(data, "forget", FORGET, epoch, "cycle", 1)]
    return list(zip(forget, batches(data, "retain", RETAIN, epoch), strict=True))


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


# --- AMUN ---------------------------------------------------------------------------------------------------


def as_input(data, index: int) -> Tensor:
    return as_rgb(data.images["train"][index]) / 255


def attacked_alone(model: nn.Module, image: Tensor, label: int, radius: float, steps: int) -> tuple[Tensor, int]:
    """One image: up the gradient, a tenth of the radius at a time, inside the ball and the cube, until it is wrong."""
    x = image.clone()
    for step in range(steps):
        x.requires_grad_()
        logits = model(x[None])[0]
        if logits.argmax() != label:
            break
        (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(logits[None], torch.tensor([label])), x)
        delta = x.detach() + radius / 10 * gradient / gradient.norm() - image
        if delta.norm() > radius:
            delta = delta / delta.norm() * radius
        x = (image + delta).clamp(0, 1)
        radius = radius * 2 if step % 10 == 9 else radius
    logits = model(x.detach()[None])[0].tolist()
    return x.detach(), max((value, place) for place, value in enumerate(logits) if place != label)[1]


@pytest.mark.parametrize(("retain", "name"), [(True, "mixed"), (False, "forget")])
def test_amun(data, retain, name):
    data.labels["train"][FORGET] = labels_predicted(data)
    model, frozen = tiny_model().train(), tiny_model().eval()
    truth = data.labels["train"][FORGET].tolist()
    found = [
        attacked_alone(frozen, as_input(data, index), label, 0.5, 25)
        for index, label in zip(FORGET, truth, strict=True)
    ]
    fooled = [label == frozen(image[None]).argmax().item() for image, label in found]
    assert all(label != true for (_, label), true in zip(found, truth, strict=True))
    assert 0 < sum(fooled) < len(fooled), "some images must be fooled and some not for this test to see both"
    both = torch.cat([FORGET, RETAIN]) if retain else FORGET
    optimizer = plain_sgd(model)
    for epoch in range(EPOCHS):
        for images, labels, places in batches(data, name, both, epoch):
            x, y = images / 255, labels.clone()
            for row, place in enumerate(places.tolist()):
                if place < len(FORGET):
                    x[row], y[row] = found[place]
            descend(optimizer, nn.functional.cross_entropy(model(x), y))
    text = f"amun:retain={str(retain).lower()},attack_radius=0.5,attack_steps=25"
    assert_close(made(text, data), model)


def labels_predicted(data) -> Tensor:
    """What the tiny model predicts for D_f, so that there is something to attack."""
    inputs = torch.stack([as_input(data, index) for index in FORGET])
    return tiny_model().eval()(inputs).argmax(1)


def test_an_adversarial_image_lies_near_its_image_and_changes_the_prediction(data):
    model, labels = tiny_model().eval(), labels_predicted(data)
    images = torch.stack([as_input(data, index) for index in FORGET])
    batch = attacked(model, images, labels, radius=0.5, steps=80)
    distances = (batch.images - images).flatten(1).norm(dim=1)
    assert batch.images.min() >= 0 and batch.images.max() <= 1
    assert (batch.logits.argmax(1) != labels).all() and distances.min() > 0 and distances.max() <= 0.5 * 2**7
    assert torch.equal(nearest_wrong(batch.logits, labels), batch.logits.argmax(1))


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


# --- SalUn with a soft threshold ----------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["split", "mixed"])
def test_salun_soft(data, order):
    """After each step the half of the weights that moved least, in the next epoch a quarter, is put back to θ₀."""
    model = tiny_model().train()
    start = nn.utils.parameters_to_vector(model.parameters()).detach()
    optimizer = plain_sgd(model)
    for epoch in range(EPOCHS):
        random = torch.randint(0, 10, (len(FORGET),), generator=stream(SEEDS.unlearning, "labels", epoch))
        labels = {"forget": random, "retain": data.labels["train"][RETAIN]}
        labels["mixed"] = torch.cat([labels["forget"], labels["retain"]])
        indices = {"forget": FORGET, "retain": RETAIN, "mixed": torch.cat([FORGET, RETAIN])}
        for phase in ("forget", "retain") if order == "split" else ("mixed",):
            for images, _, places in batches(data, phase, indices[phase], epoch):
                descend(optimizer, nn.functional.cross_entropy(model(images), labels[phase][places]))
                moved = nn.utils.parameters_to_vector(model.parameters()).detach() - start
                count = int(len(moved) * 0.5 / (epoch + 1))
                threshold = moved.abs().sort().values[count - 1]
                moved = torch.where(moved > threshold, moved - threshold, moved + threshold) * (moved.abs() > threshold)
                nn.utils.vector_to_parameters(start + moved, model.parameters())
    ours = made(f"salun_soft:kept_fraction=0.5,order={order}", data)
    assert_close(ours, model)
    back = nn.utils.parameters_to_vector(ours.parameters()) == start
    assert back.sum() >= int(0.25 * len(start))


# --- task vectors -------------------------------------------------------------------------------------------


def finetuned_on_forget(data, learning_rate: float, epochs: range) -> Tensor:
    model = tiny_model().train()
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=0.9, weight_decay=5e-4)
    for epoch in epochs:
        for images, labels, _ in batches(data, "forget", FORGET, epoch):
            descend(optimizer, nn.functional.cross_entropy(model(images), labels))
    return as_vector(model)


def as_vector(model: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector(model.parameters()).detach()


@pytest.mark.parametrize("method", ["task_arithmetic", "neg_merge"])
def test_a_scale_of_0_is_the_no_op(data, method):
    assert equal_states(made(f"{method}:scale=0", data), tiny_model())


def test_task_arithmetic(data):
    start = as_vector(tiny_model())
    wanted = start - 0.5 * (finetuned_on_forget(data, RATE, range(EPOCHS)) - start)
    ours = made("task_arithmetic:scale=0.5", data)
    torch.testing.assert_close(as_vector(ours), wanted, rtol=1e-10, atol=1e-12)
    assert equal_lists(list(ours.buffers()), list(tiny_model().buffers()))


def test_neg_merge(data):
    """Of four finetunings, two at each learning rate, the weights that all four move the same way."""
    start = as_vector(tiny_model())
    runs = enumerate([RATE, RATE, RATE * 3, RATE * 3])
    vectors = [finetuned_on_forget(data, rate, range(2 * run, 2 * run + 2)) - start for run, rate in runs]
    wanted = start.clone()
    for place, parts in enumerate(zip(*(vector.tolist() for vector in vectors), strict=True)):
        if all(part > 0 for part in parts) or all(part < 0 for part in parts):
            wanted[place] -= sum(parts) / 4
    kept = (wanted == start).double().mean()
    assert 0.1 < kept < 0.9, "finetunings must disagree on some weights for this test to see it"
    torch.testing.assert_close(as_vector(made("neg_merge:factors=1 3,repeats=2", data)), wanted, rtol=1e-10, atol=1e-12)


# --- DELETE -------------------------------------------------------------------------------------------------


def test_delete(data):
    """The teacher's other classes share its probability among them, in the proportions that they had."""
    model, teacher = tiny_model().train(), tiny_model().eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9)
    for epoch in range(EPOCHS):
        for images, labels, _ in batches(data, "forget", FORGET, epoch):
            target = torch.softmax(teacher(images).detach(), 1)
            target[torch.arange(len(labels)), labels] = 0
            target = target / target.sum(1, keepdim=True)
            found = torch.log_softmax(model(images), 1)
            descend(optimizer, nn.functional.kl_div(found, target, reduction="batchmean"))
    assert_close(made("delete", data), model)


CLASS_ONLY = {"delete", "unsir"}


def test_methods_that_forget_whole_classes_alone_say_so():
    assert {name for name, method in METHODS.items() if method.forget_rules} == CLASS_ONLY
    assert all(METHODS[name].forget_rules == ("class",) for name in CLASS_ONLY)


# --- UNSIR --------------------------------------------------------------------------------------------------


def noise_against(model: nn.Module, labels: Tensor, steps: int) -> Tensor:
    """Normal noise, in the model's normalised units, that Adam makes worse for `labels` and keeps short."""
    noise = torch.randn(BATCH, 3, 8, 8, generator=stream(SEEDS.unlearning, "unsir", "noise")).requires_grad_()
    optimizer = torch.optim.Adam([noise], lr=0.1)
    for _ in range(steps):
        loss = -nn.functional.cross_entropy(model(noise * 0.5 + 0.5), labels)
        for image in noise:
            loss = loss + 0.3 * (image**2).sum() / len(noise)
        descend(optimizer, loss)
    return noise.detach() * 0.5 + 0.5


def test_unsir(data):
    """A class of 13 images, fewer than a batch, is impaired by 16 noises in turn, with 15 of 60 images of D_r."""
    number = data.labels["train"][0].item()
    forget = (data.labels["train"] == number).nonzero().squeeze(1)[:13]
    model, config = tiny_model(), tiny_model().config
    assert (config.pixel_mean, config.pixel_std) == (0.5, 0.5)
    noise = noise_against(tiny_model().eval(), torch.full((BATCH,), number), 5)
    order = torch.randperm(len(RETAIN), generator=stream(SEEDS.unlearning, "unsir", "retain"))
    some = RETAIN[order[:15].sort().values]
    optimizer = torch.optim.Adam(model.train().parameters(), lr=0.004)
    for epoch in range(2):
        for images, labels, places in batches(data, "impair", torch.cat([forget, some]), epoch):
            x = images / 255
            for row, place in enumerate(places.tolist()):
                x[row] = noise[place] if place < 13 else x[row]
            descend(optimizer, nn.functional.cross_entropy(model(x), labels))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.002)
    for images, labels, _ in batches(data, "retain", some, 0):
        descend(optimizer, nn.functional.cross_entropy(model(images), labels))
    text = "unsir:retain_fraction=0.25,noise_steps=5,noise_penalty=0.3,impair_epochs=2,impair_learning_rate=0.004"
    ours = unlearned(f"{text},repair_learning_rate=0.002", data, settings=KNOWN, forget=forget)
    assert_close(ours, model)


# --- ReGUn --------------------------------------------------------------------------------------------------


def test_regun(data):
    """A class without validation images takes the mean of all of them."""
    missing = data.labels["train"][FORGET[0]].item()
    data.labels["val"][data.labels["val"] == missing] = (missing + 1) % 10
    model, frozen = tiny_model().train(), tiny_model().eval()
    predicted = [frozen(as_rgb(image)[None]).softmax(1)[0].detach() for image in data.images["val"]]
    of_class = [
        [row for row, label in zip(predicted, data.labels["val"], strict=True) if label == number] or predicted
        for number in range(10)
    ]
    assert of_class[missing] is predicted and len(of_class[(missing + 1) % 10]) < len(predicted)
    reference = torch.stack([torch.stack(rows).mean(0) for rows in of_class])
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9)
    for epoch in range(EPOCHS):
        for (x_f, y_f, _), (x_r, y_r, _) in pairs(data, epoch):
            descent = 0.7 * nn.functional.cross_entropy(model(x_r), y_r)
            found = torch.log_softmax(model(x_f), 1)
            descend(optimizer, descent + 0.4 * nn.functional.kl_div(found, reference[y_f], reduction="batchmean"))
    assert_close(made("regun:retain_weight=0.7,forget_weight=0.4", data), model)


# --- SalUn-CRA ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["split", "mixed"])
def test_salun_cra(data, order):
    """With all weights in the mask; a positive image of D_r trains on its own label."""
    data.labels["train"][RETAIN[:20]] = 3
    truth = data.labels["train"]
    assert 0 < (truth[FORGET] == 3).sum() < len(FORGET)
    model = tiny_model().train()
    optimizer = plain_sgd(model)
    for epoch in range(EPOCHS):
        random = torch.randint(0, 10, (len(FORGET),), generator=stream(SEEDS.unlearning, "labels", epoch))
        labels = {"forget": random, "retain": truth[RETAIN], "mixed": torch.cat([random, truth[RETAIN]])}
        indices = {"forget": FORGET, "retain": RETAIN, "mixed": torch.cat([FORGET, RETAIN])}
        for phase in ("forget", "retain") if order == "split" else ("mixed",):
            for images, own, places in batches(data, phase, indices[phase], epoch):
                losses = []
                for row, label, target, place in zip(model(images), own, labels[phase][places], places, strict=True):
                    predicted = torch.softmax(row, 0)
                    if phase != "retain" and place < len(FORGET) and label == 3:
                        losses.append(0.5 * (math.log(10) + (predicted * predicted.log()).sum()))
                    else:
                        losses.append(-predicted[target].log())
                descend(optimizer, torch.stack(losses).mean())
    text = f"salun_cra:positive_class=3,entropy_weight=0.5,mask.fraction=1,order={order}"
    assert_close(made(text, data), model)


def test_salun_cra_without_a_positive_image_is_salun(data):
    data.labels["train"][data.labels["train"] == 3] = 4
    assert equal_states(made("salun_cra:positive_class=3", data), made("salun", data))
    assert not equal_states(made("salun_cra:positive_class=4", data), made("salun", data))


def test_a_positive_class_that_the_data_lacks_is_refused(data):
    with pytest.raises(InputError, match=r"positive_class is 10, but the data has the classes 0 to 9\."):
        made("salun_cra:positive_class=10", data)
