"""The methods that change the weights once, each against a naive restatement: a loop over images, in float64."""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from salun_grid.trainables.methods import METHODS, Settings, Unlearning, unlearn
from salun_grid.trainables.protocol import AugmentationConfig
from salun_grid.trainables.resident import Augmenter, ResidentData
from tests.support.oracles import augment, digits, equal_states, stream, tiny_model
from tests.support.unlearning import FORGET, RETAIN, SEEDS, unlearned

pytestmark = pytest.mark.usefixtures("double_precision")


def made(method: str, data: ResidentData, settings: Settings, model: nn.Module | None = None) -> nn.Module:
    """What a method makes with `settings` that no variant could have, such as infinity."""
    model, augmenter = model or tiny_model(), Augmenter("none", AugmentationConfig(), SEEDS.augmentation)
    job = Unlearning(model, model, data, *data.forget_and_retain(FORGET, RETAIN), settings, augmenter, SEEDS)
    unlearn(METHODS[method], job, None)
    return model


@cache  # the tests ask for the same images again and again
def gradient_of(image: int, loss: Callable[[Tensor, Tensor], Tensor]) -> list[Tensor]:
    """The gradient of `loss`(logits, label) of one train image alone."""
    model, data = tiny_model().eval(), digits()
    (pixels,) = augment(data.images["train"][[image]], "none", AugmentationConfig(), stream(0))
    loss(model(pixels[None]), data.labels["train"][[image]]).backward()
    return [weight.grad for weight in model.parameters()]


def gradients_of(indices: Tensor, loss=nn.functional.cross_entropy) -> list[list[Tensor]]:
    return [gradient_of(image, loss) for image in indices.tolist()]


def importance(indices: Tensor, loss=nn.functional.cross_entropy, power: int = 2) -> list[Tensor]:
    by_image = gradients_of(indices, loss)
    return [sum(part.abs() ** power for part in parts) / len(indices) for parts in zip(*by_image, strict=True)]


def assert_close(ours: nn.Module, theirs: nn.Module) -> None:
    for mine, wanted in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-8, atol=1e-10)
    assert not equal_states(ours, tiny_model())


# --- selective synaptic dampening ---------------------------------------------------------------------------


def norm_loss(logits: Tensor, labels: Tensor) -> Tensor:
    return sum(value**2 for value in logits[0])


@pytest.mark.parametrize(
    ("method", "loss", "power"),
    [("ssd", nn.functional.cross_entropy, 2), ("lfssd", norm_loss, 1)],
    ids=["ssd", "lfssd"],
)
@pytest.mark.parametrize(("alpha", "dampening"), [(1.0, 1.0), (1.2, 0.5), (0.5, 3.0)])
def test_ssd_shrinks_weight_by_weight(data, method, loss, power, alpha, dampening):
    """F_D is taken over all 90 images at once; a factor above 1 would let a weight grow."""
    model = tiny_model()
    of_forget = importance(FORGET, loss, power)
    of_all = importance(torch.cat([FORGET, RETAIN]), loss, power)
    num_chosen = 0
    for weight, forget, both in zip(model.parameters(), of_forget, of_all, strict=True):
        values, f, d = weight.data.view(-1), forget.reshape(-1).tolist(), both.reshape(-1).tolist()
        for i in range(len(values)):
            if f[i] > alpha * d[i]:
                values[i] *= min(dampening * d[i] / f[i], 1.0)
                num_chosen += 1
    assert num_chosen > 100
    assert_close(unlearned(f"{method}:alpha={alpha},dampening={dampening}", data), model)


def test_ssd_on_two_weights_by_hand():
    """Logits (a·x, b·x) at a = b = 1 have probabilities ½, so that each squared gradient is (x / 2)².

    D_f holds x = 4 (gradient² 4), D_r three of x = 2 (gradient² 1): F_f is 4, F_D is (4 + 3 · 1) / 4 = 1.75, and both
    weights become 1.75 / 4.
    """
    values = torch.tensor([4, 2, 2, 2], dtype=torch.uint8)
    images = values.view(4, 1, 1, 1).expand(4, 8, 8, 1).contiguous()
    data = ResidentData({"train": images}, {"train": torch.tensor([0, 1, 0, 1])}, 2)
    model, augmenter = TwoWeights(), Augmenter("none", AugmentationConfig(), 0)
    subsets = data.forget_and_retain(torch.tensor([0]), torch.tensor([1, 2, 3]))
    settings = METHODS["ssd"].settings(alpha=1.0)
    unlearn(METHODS["ssd"], Unlearning(model, model, data, *subsets, settings, augmenter, SEEDS), None)
    torch.testing.assert_close(model.weights.detach(), torch.tensor([1.75 / 4, 1.75 / 4]))


class TwoWeights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.ones(2))

    def forward(self, images: Tensor) -> Tensor:
        return self.weights * images[:, 0, 0, :1]


@pytest.mark.parametrize("method", ["ssd", "lfssd"])
def test_ssd_with_infinite_alpha_is_the_no_op(data, method):
    settings = METHODS[method].settings()
    assert equal_states(made(method, data, replace(settings, alpha=float("inf"))), tiny_model())


@pytest.mark.parametrize("method", ["ssd", "lfssd"])
def test_ssd_chooses_nothing_from_the_inverse_of_the_forget_rate_on(data, method):
    """A third of D is forgotten, so that F_f is three times F_D at most."""
    assert equal_states(unlearned(f"{method}:alpha=3.001", data), tiny_model())
    assert not equal_states(unlearned(f"{method}:alpha=2", data), tiny_model())


def test_lfssd_needs_no_labels(data):
    other = copy.deepcopy(data)
    other.labels["train"][:] = 0
    assert equal_states(unlearned("lfssd:alpha=1", data), unlearned("lfssd:alpha=1", other))
    assert not equal_states(unlearned("ssd:alpha=1", data), unlearned("ssd:alpha=1", other))


# --- Fisher forgetting --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("alpha", "bound"), [(1e-8, 1e-3), (1e-6, 50.0), (1e-7, 2e-3)])
def test_fisher_adds_noise_weight_by_weight(data, alpha, bound):
    """10 classes: the last layer's weights and biases take ten times the noise."""
    model, generator = tiny_model(), stream(SEEDS.unlearning, "fisher")
    num_bounded = num_free = 0
    for (name, weight), known in zip(model.named_parameters(), importance(RETAIN), strict=True):
        noise, information = torch.randn(weight.shape, generator=generator).view(-1), known.reshape(-1)
        values = weight.data.view(-1)
        for i in range(len(values)):
            deviation = (alpha / (information[i].item() + 1e-16)) ** 0.5
            num_bounded, num_free = num_bounded + (deviation > bound), num_free + (deviation <= bound)
            values[i] += min(deviation, bound) * noise[i].item() * (10 if name.startswith("fc.") else 1)
    assert num_bounded > 0 or bound == 50.0
    assert num_free > 0
    assert_close(unlearned(f"fisher:alpha={alpha},max_deviation={bound}", data), model)


def test_fisher_with_alpha_0_is_the_no_op(data):
    assert equal_states(unlearned("fisher:alpha=0", data), tiny_model())
    assert equal_states(unlearned("fisher:max_deviation=0", data), tiny_model())


def test_a_weight_without_information_takes_the_largest_noise(data):
    """Features that are always 0 give the last layer's weights no gradient."""
    model = tiny_model()
    nn.init.constant_(model.layer4[1].bn2.weight, 0.0)
    nn.init.constant_(model.layer4[1].bn2.bias, -1e3)
    made("fisher", data, METHODS["fisher"].settings(alpha=1e-12, last_layer_factor=1.0), model)
    moved = (model.fc.weight - tiny_model().fc.weight).abs()
    assert 5e-4 < moved.mean() < 1.2e-3  # the mean of |N(0, 1)| is 0.8


# --- influence ----------------------------------------------------------------------------------------------


def flat(gradients: list[Tensor]) -> Tensor:
    return torch.cat([part.flatten() for part in gradients])


def moved_by(model: nn.Module, step: Tensor) -> nn.Module:
    start = 0
    for weight in model.parameters():
        weight.data += step[start : start + weight.numel()].view(weight.shape)
        start += weight.numel()
    return model


def influence_step() -> Tensor:
    """|D_f| / |D| of the difference of the mean gradients."""
    forget, retain = (sum(flat(each) for each in gradients_of(part)) / len(part) for part in (FORGET, RETAIN))
    return 30 / 90 * (forget - retain)


@pytest.mark.parametrize("samples", [1, 7, 40, 1000])
def test_influence(data, samples):
    """The recursion over whole vectors, one image at a time; more samples than D_r has are D_r."""
    order = torch.randperm(60, generator=stream(SEEDS.unlearning, "influence", "sample"))[:samples]
    k, o = influence_step(), None
    for gradient in map(flat, gradients_of(RETAIN[order])):
        if o is None:
            o = gradient.clone()
            continue
        n, product = len(order), o.dot(gradient)
        k = k - k.dot(gradient) / (n + product) * o
        o = o - product / (n + product) * o
    assert_close(unlearned(f"influence:alpha=3,samples={samples}", data), moved_by(tiny_model(), 3 * k))


def test_influence_of_one_sample_has_no_curvature(data):
    wanted = moved_by(tiny_model(), 3 * influence_step())
    assert_close(unlearned("influence:alpha=3,samples=1", data), wanted)
    assert not equal_states(unlearned("influence:alpha=3,samples=2", data), wanted)


def test_influence_with_alpha_0_is_the_no_op(data):
    assert equal_states(unlearned("influence:alpha=0", data), tiny_model())


def test_influence_counts_the_images_that_it_draws():
    passes = METHODS["influence"].passes(METHODS["influence"].settings(samples=20))
    assert passes.images(30, 60) == 30 + 60 + 20
    assert passes.images(30, 10) == 30 + 10 + 10


def test_influence_raises_the_loss_on_forget(data):
    """A small step goes up the gradient of CE_f more than that of CE_r."""
    images, labels = data.images["train"], data.labels["train"]
    model = unlearned("influence:alpha=0.01", data).eval()
    before = tiny_model().eval()

    def loss(model: nn.Module, indices: Tensor) -> float:
        inputs = images[indices].permute(0, 3, 1, 2).expand(-1, 3, -1, -1)
        return nn.functional.cross_entropy(model(inputs), labels[indices]).item()

    risen = [loss(model, part) - loss(before, part) for part in (FORGET, RETAIN)]
    assert risen[0] > max(risen[1], 0)
