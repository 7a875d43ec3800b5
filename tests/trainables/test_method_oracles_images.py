"""Methods that put other images instead of D_f against naive restatements of their defining steps."""

import pytest
import torch
from torch import Tensor, nn

from salun_grid.trainables.methods.amun import attacked, nearest_wrong
from tests.support.oracles import stream, tiny_model
from tests.support.restatements import (
    EPOCHS,
    KNOWN,
    as_input,
    assert_close,
    batches,
    descend,
    labels_predicted,
    made,
    plain_sgd,
)
from tests.support.unlearning import BATCH, FORGET, RETAIN, SEEDS, unlearned

pytestmark = pytest.mark.usefixtures("double_precision")

# --- AMUN ---------------------------------------------------------------------------------------------------


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


def test_an_adversarial_image_lies_near_its_image_and_changes_the_prediction(data):
    model, labels = tiny_model().eval(), labels_predicted(data)
    images = torch.stack([as_input(data, index) for index in FORGET])
    batch = attacked(model, images, labels, radius=0.5, steps=80)
    distances = (batch.images - images).flatten(1).norm(dim=1)
    assert batch.images.min() >= 0 and batch.images.max() <= 1
    assert (batch.logits.argmax(1) != labels).all() and distances.min() > 0 and distances.max() <= 0.5 * 2**7
    assert torch.equal(nearest_wrong(batch.logits, labels), batch.logits.argmax(1))


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
