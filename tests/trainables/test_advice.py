"""Where a method diverges, one sentence names a setting that the method has."""

import re
from dataclasses import fields, replace
from math import nan
from types import SimpleNamespace

import pytest
import torch

from salun_grid.records.errors import Diverged
from salun_grid.trainables.methods import METHODS
from salun_grid.trainables.optimizers import sgd
from salun_grid.trainables.passes import Passes, Totals
from tests.support.unlearning import unlearned

SENTENCE = re.compile(r"(lower|raise) (\w+), now ([0-9.e+-]+)")


@pytest.mark.parametrize("method", METHODS)
def test_the_advice_names_a_setting_of_the_method_and_its_value(method):
    settings = METHODS[method].settings()
    verb, name, value = SENTENCE.fullmatch(settings.advice).groups()
    assert name in {field.name for field in fields(settings)}
    assert float(value) == getattr(settings, name)
    assert float(value) > 0 or verb == "raise", "it can be lowered"
    assert replace(settings, **{name: 0.125}).advice == f"{verb} {name}, now 0.125"


@pytest.mark.parametrize("method", METHODS)
def test_a_method_whose_loss_is_no_number_says_so_in_one_sentence(data, method, monkeypatch):
    """Whatever pass it is, and whether an engine or a loop of the method's own makes it."""
    sums = Totals.add
    monkeypatch.setattr(Totals, "add", lambda self, loss, batch, weight: sums(self, loss * nan, batch, weight))
    advice = METHODS[method].settings().gentler
    try:
        unlearned(method, data)
    except Diverged as error:
        assert re.fullmatch(rf"the loss of \w[\w+]* epoch 1 is nan; {' '.join(advice)}, now [0-9.e+-]+\.", str(error))
    else:
        assert method in {"ssd", "lfssd", "fisher", "influence"}, "nothing is trained"


def test_the_engine_alone_has_a_sentence_too(data):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(1, 2))
    passes = Passes(model, sgd(model, 0.1), data, SimpleNamespace(), 4, 0)
    totals = Totals(passes, "train", 0)
    totals.sums += nan
    with pytest.raises(Diverged, match=r"^the loss of train epoch 1 is nan; lower the learning rate\.$"):
        totals.finish(1)
