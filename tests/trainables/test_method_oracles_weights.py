"""Methods that change the weights themselves against naive restatements, and the certificate of one of them."""

import math
from statistics import NormalDist

import pytest
import torch
from torch import Tensor, nn

from salun_grid.trainables.methods import METHODS, Unlearning, unlearn
from salun_grid.trainables.methods.noisy_finetune import noise_deviation
from salun_grid.trainables.methods.variants import Variant
from salun_grid.trainables.protocol import AugmentationConfig
from salun_grid.trainables.resident import Augmenter
from tests.support.oracles import equal_lists, equal_states, stream, tiny_model
from tests.support.restatements import EPOCHS, KNOWN, batches, descend, made, plain_sgd
from tests.support.unlearning import FORGET, RATE, RETAIN, SEEDS

pytestmark = pytest.mark.usefixtures("double_precision")

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


# --- noisy finetuning ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("epsilon", [0.1, 1, 8])
@pytest.mark.parametrize("delta", [1e-2, 1e-5])
@pytest.mark.parametrize("steps", [1, 50])
def test_the_noise_hides_the_worst_case(epsilon, delta, steps):
    """Two models that every step drives apart as far as it may end as two normal distributions, whose δ is known.

    Balle & Wang 2018, arXiv 1805.06530, Theorem 8. A quarter of the noise hides too little.
    """
    distance = 2 * 0.3 + 2 * 0.02 * steps

    def excess(deviation: float) -> float:
        ratio, normal = distance / (deviation * math.sqrt(steps)), NormalDist()
        far = math.exp(epsilon) * normal.cdf(-ratio / 2 - epsilon / ratio)
        return normal.cdf(ratio / 2 - epsilon / ratio) - far

    deviation = noise_deviation(epsilon, delta, start_norm=0.3, longest_step=0.02, steps=steps)
    assert excess(deviation) <= delta < excess(deviation / 4)


def test_noisy_finetune(data):
    model = tiny_model().train()
    start = as_vector(model)
    assert start.norm() > 3
    random = stream(SEEDS.unlearning, "noisy_finetune")
    rho = (math.sqrt(math.log(100) + 50) - math.sqrt(math.log(100))) ** 2
    deviation = (2 * 3 + 2 * 0.1 * 0.5 * 8) / math.sqrt(2 * 8 * rho)
    nn.utils.vector_to_parameters(start * 3 / start.norm(), model.parameters())
    for epoch in range(2):
        for images, labels, _ in batches(data, "retain", RETAIN, epoch):
            loss = nn.functional.cross_entropy(model(images), labels)
            gradients = torch.autograd.grad(loss, list(model.parameters()))
            norm = math.sqrt(sum((gradient**2).sum().item() for gradient in gradients))
            for weight, gradient in zip(model.parameters(), gradients, strict=True):
                step = -0.1 * gradient * min(1, 0.5 / norm)
                weight.data += step + deviation * torch.randn(weight.shape, generator=random)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.zero_(), module.running_var.fill_(1), module.num_batches_tracked.zero_()
    optimizer = plain_sgd(model)
    for epoch in (2, 3):
        for images, labels, _ in batches(data, "retain", RETAIN, epoch):
            descend(optimizer, nn.functional.cross_entropy(model(images), labels))
    text = "noisy_finetune:epsilon=50,delta=0.01,start_norm=3,max_norm=0.5,noisy_epochs=2,noisy_learning_rate=0.1"
    ours = made(text, data)
    for mine, wanted in zip(ours.state_dict().values(), model.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-4, atol=1e-6)  # clip_grad_norm_ adds 1e-6 to the norm


def test_only_the_weights_and_d_r_reach_the_end_of_noisy_finetuning(data):
    """BatchNorm's statistics of the original, to which no noise is added, play no part."""
    ended = []
    for shift in (0, 5):
        model = tiny_model()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean += shift
        settings, _ = Variant("noisy_finetune").resolved(KNOWN)
        augmenter = Augmenter("none", AugmentationConfig(), SEEDS.augmentation)
        subsets = data.forget_and_retain(FORGET, RETAIN)
        unlearn(METHODS["noisy_finetune"], Unlearning(model, model, data, *subsets, settings, augmenter, SEEDS), None)
        ended.append(model)
    assert equal_states(*ended) and not equal_states(ended[0], tiny_model())
