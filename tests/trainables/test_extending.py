"""docs/extending.md: its module is a method, and every name that it explains exists."""

import re
import types
from pathlib import Path

import pytest

from tests.trainables.oracles import equal_states, tiny_model
from tests.trainables.test_methods import unlearned
from trainables.errors import InputError
from trainables.methods import METHODS, Unlearning
from trainables.methods.variants import Variant
from trainables.passes import Batch, Passes
from trainables.resident import Subset

PAGE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
(CODE,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def bounded_ascent(monkeypatch):
    module = types.ModuleType("bounded_ascent")
    # A dataclass asks for the module that it was defined in.
    monkeypatch.setitem(__import__("sys").modules, "bounded_ascent", module)
    exec(compile(CODE, "docs/extending.md", "exec"), module.__dict__)
    monkeypatch.setitem(METHODS, "bounded_ascent", module.METHOD)
    return module


def test_the_module_of_the_page_is_a_method(data, bounded_ascent):
    ours = unlearned("bounded_ascent", data)
    assert not equal_states(ours, tiny_model())
    assert not equal_states(ours, unlearned("bounded_ascent:ceiling=0.5", data))
    assert not equal_states(ours, unlearned("bounded_ascent:mask.fraction=0.5", data))
    with pytest.raises(InputError, match=r"bounded_ascent: ceiling must be a number, above 0, below 100 \(nats\)"):
        Variant.parse("bounded_ascent:ceiling=0")


def test_the_names_of_the_page_exist(data):
    owners = {"job": Unlearning, "passes": Passes, "batch": Batch, "subset": Subset}
    fields = {owner: {*vars(kind), *getattr(kind, "__dataclass_fields__", ())} for owner, kind in owners.items()}
    named = re.findall(r"`(job|passes|batch)\.(\w+)", PAGE)
    assert len(named) > 10
    for owner, name in named:
        assert name in fields[owner], f"{owner}.{name}"
