"""Methods that change the weights themselves against naive restatements of their defining steps."""

import pytest
import torch
from torch import Tensor, nn

from tests.trainables.oracles import equal_lists, equal_states, tiny_model
from tests.trainables.test_method_oracles import (
    EPOCHS,
    batches,
    descend,
    double_precision,  # noqa: F401
    made,
)
from tests.trainables.test_methods import FORGET, RATE

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
