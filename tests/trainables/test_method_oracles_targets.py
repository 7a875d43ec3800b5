"""Methods that aim D_f at other labels or predictions against naive restatements of their defining steps."""

import math

import pytest
import torch
from torch import Tensor, nn

from salun_grid.records.errors import InputError
from salun_grid.trainables.methods import METHODS
from tests.support.oracles import as_rgb, equal_states, stream, tiny_model
from tests.support.restatements import EPOCHS, assert_close, batches, descend, labels_predicted, made, pairs, plain_sgd
from tests.support.unlearning import FORGET, RATE, RETAIN, SEEDS

pytestmark = pytest.mark.usefixtures("double_precision")

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


# --- LoTUS --------------------------------------------------------------------------------------------------


def share_right(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    model.eval()
    found = [model(as_rgb(image)[None]).argmax().item() for image in images]
    return sum(mine == wanted for mine, wanted in zip(found, labels.tolist(), strict=True)) / len(labels)


@pytest.mark.parametrize("target", [None, 0])
def test_lotus(data, target):
    model, teacher = tiny_model(), tiny_model().eval()
    data.labels["train"][FORGET[:15]] = labels_predicted(data)[:15]
    wanted = share_right(teacher, data.images["val"], data.labels["val"]) if target is None else target
    order = torch.randperm(len(RETAIN), generator=stream(SEEDS.unlearning, "lotus", "retain"))
    both = torch.cat([FORGET, RETAIN[order[:15].sort().values]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=5e-4)
    for epoch in range(EPOCHS):
        known = share_right(model, data.images["train"][FORGET], data.labels["train"][FORGET])
        if known - wanted <= -0.01:
            assert epoch > 0, "one pass at least is needed for this test to see anything"
            break
        uniform = torch.rand((45, 10), generator=stream(SEEDS.unlearning, "lotus", "gumbel", epoch))
        temperature = math.exp(2 * (known - wanted))
        for images, _, places in batches(data, "mixed", both, epoch):
            scores = teacher(images).detach() - (-uniform[places].log()).log()
            losses = []
            for row, score, place in zip(model.train()(images), scores, places, strict=True):
                soft = torch.softmax(score / temperature, 0)
                label = soft if place < len(FORGET) else nn.functional.one_hot(score.argmax(), 10)
                losses.append(-(label * torch.log_softmax(row, 0)).sum())
            descend(optimizer, torch.stack(losses).mean())
    assert_close(made(f"lotus:alpha=2,retain_fraction=0.25,target_accuracy={target}", data), model.train())


def test_lotus_stops_below_its_target(data):
    """A model that does not know D_f better than it should is left as it is."""
    known = share_right(tiny_model(), data.images["train"][FORGET], data.labels["train"][FORGET])
    assert equal_states(made(f"lotus:margin=0.1,target_accuracy={known + 0.11}", data), tiny_model())
    assert not equal_states(made(f"lotus:margin=0.1,target_accuracy={known + 0.09}", data), tiny_model())
