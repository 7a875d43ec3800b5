"""docs/extending.md: its modules are a method, a forget rule and a probe, and every name that it explains exists."""

import re
import sys
import types
from pathlib import Path

import pytest
import torch

from salun_grid.records.errors import InputError
from salun_grid.records.forget_label import forget_name
from salun_grid.trainables.architectures import ARCHITECTURES, build_model, count_macs, with_architecture
from salun_grid.trainables.data import describe, load
from salun_grid.trainables.forget import FORGET_RULES, ForgetSet, parse_rule
from salun_grid.trainables.methods import METHODS, Unlearning
from salun_grid.trainables.methods.variants import Variant
from salun_grid.trainables.passes import Batch, Passes
from salun_grid.trainables.probes import PROBES
from salun_grid.trainables.protocol import ModelConfig, Protocol
from salun_grid.trainables.resident import Subset
from tests.support.oracles import equal_states, tiny_model
from tests.support.unlearning import measures, unlearned

PAGE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
METHOD_CODE, RULE_CODE, PROBE_CODE, ARCHITECTURE_CODE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def module_of(name, code, monkeypatch):
    module = types.ModuleType(name)
    # A dataclass asks for the module that it was defined in.
    monkeypatch.setitem(sys.modules, name, module)
    exec(compile(code, "docs/extending.md", "exec"), module.__dict__)
    return module


@pytest.fixture
def bounded_ascent(monkeypatch):
    module = module_of("bounded_ascent", METHOD_CODE, monkeypatch)
    monkeypatch.setitem(METHODS, "bounded_ascent", module.METHOD)


def test_the_module_of_the_page_is_a_method(data, bounded_ascent):
    ours = unlearned("bounded_ascent", data)
    assert not equal_states(ours, tiny_model())
    assert not equal_states(ours, unlearned("bounded_ascent:ceiling=0.5", data))
    assert not equal_states(ours, unlearned("bounded_ascent:mask.fraction=0.5", data))
    with pytest.raises(InputError, match=r"bounded_ascent: ceiling must be a number, above 0, below 100 \(nats\)"):
        Variant.parse("bounded_ascent:ceiling=0")


def test_the_rule_of_the_page_is_a_forget_rule(monkeypatch):
    rule = module_of("first_of_class", RULE_CODE, monkeypatch).FirstOfClass
    monkeypatch.setitem(FORGET_RULES, "first-of-class", rule)
    info = describe("digits", 0)
    forget = ForgetSet(parse_rule(rule.example), seed=5)
    train = load(info).train
    indices = forget.indices(train)
    assert len(indices) == forget.count(info) == info.class_counts[3] // 2
    assert set(train.labels[indices]) == {3} and forget.identity == [rule.example]
    assert forget_name(forget.label) == "first-of-class 3"
    with pytest.raises(InputError, match="first-of-class:10 holds no train image of digits"):
        parse_rule("first-of-class:10").on(info).count(info, seed=0)


def test_the_probe_of_the_page_is_a_probe(data, monkeypatch):
    module = module_of("pull_of_forget", PROBE_CODE, monkeypatch)
    monkeypatch.setitem(PROBES, "pull_of_forget", module.PROBE)
    found = measures("pull_of_forget", data)
    assert [measure.element for measure in found] == [1, 2] and all(measure.value > 0 for measure in found)
    assert found == measures("pull_of_forget", data)


def test_the_network_of_the_page_is_an_architecture(monkeypatch):
    module = module_of("two_layers", ARCHITECTURE_CODE, monkeypatch)
    monkeypatch.setitem(ARCHITECTURES, "two_layers", module.ARCHITECTURE)
    config = ModelConfig(architecture="two_layers")
    logits = build_model(config, 5, seed=0)(torch.zeros(2, 3, 16, 16, dtype=torch.uint8))
    assert logits.shape == (2, 5)
    assert count_macs(config, 5, 16) == 16 * 16 * 27 * 32 + 32 * 5
    assert with_architecture(Protocol(), "two_layers").training.learning_rate == 0.01


def test_the_names_of_the_page_exist(data):
    owners = {"job": Unlearning, "passes": Passes, "batch": Batch, "subset": Subset}
    fields = {owner: {*vars(kind), *getattr(kind, "__dataclass_fields__", ())} for owner, kind in owners.items()}
    named = re.findall(r"`(job|passes|batch)\.(\w+)", PAGE)
    assert len(named) > 10
    for owner, name in named:
        assert name in fields[owner], f"{owner}.{name}"
