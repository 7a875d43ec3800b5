"""The command that compares a method with its authors' code, on a checkout that the test writes; and its page."""

import json
import sys

import pytest
import torch

from benchmarks.agreement import COMPARISONS
from benchmarks.agreement.__main__ import main
from benchmarks.agreement.comparison import Measured, double_precision, farthest
from benchmarks.agreement.official import official_code
from benchmarks.agreement.page import PAGE, RECORDS, page
from benchmarks.agreement.uncompared import UNCOMPARED
from salun_grid.trainables.methods import METHODS

# A naive restatement of bad teacher's step, in the form in which the comparison calls it.
STEP = """
import torch, surely_missing
from surely_missing.inside import Thing

class Unused(Thing):
    pass

def unlearning_step(model, bad, good, loader, optimizer, device, temperature):
    for images, forgotten in loader:
        images = images.cuda().to("cuda:0")
        rows = []
        for i, one in enumerate(forgotten.tolist()):
            with torch.no_grad():
                teacher = (bad if one else good)(images)[i]
            rows.append(torch.softmax(teacher / temperature, 0))
        target = torch.stack(rows).float()
        found = torch.log_softmax(model(images) / temperature, 1)
        loss = (target * (target.log() - found)).sum() / target.numel()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""


def test_a_restated_step_agrees_and_leaves_no_trace(tmp_path, capsys):
    (tmp_path / "unlearn.py").write_text(STEP, encoding="utf-8")
    before, file = dict(sys.modules), tmp_path / "records.json"
    given = ["bad_teacher", "--official", str(tmp_path), "--json", str(file)]
    assert main(given) == 0
    shown = capsys.readouterr().out
    assert "bad_teacher: https://github.com/" in shown and "at unknown" in shown and "DIFFERS" not in shown
    assert "- a stand-in for the missing package surely_missing" in shown
    record = json.loads(file.read_text())["bad_teacher"]
    assert record["measured"][0]["difference"] < 1e-9
    assert record["environment"]["torch"] == torch.__version__
    assert {"unlearn", "surely_missing", "surely_missing.inside"}.isdisjoint(sys.modules.keys() - before.keys())
    assert torch.get_default_dtype() == torch.float32
    assert torch.ones(1).double().float().dtype == torch.float32
    assert not list(tmp_path.glob("**/*.pyc"))


def test_an_altered_step_differs(tmp_path, capsys):
    text = STEP.replace("loss.backward()", "(loss + 0.001 * model.fc.bias.sum()).backward()")
    (tmp_path / "unlearn.py").write_text(text, encoding="utf-8")
    assert main(["bad_teacher", "--official", str(tmp_path)]) == 1
    assert "DIFFERS, for no documented reason: change of the weights" in capsys.readouterr().out


def test_a_step_that_does_nothing_is_no_agreement(tmp_path):
    (tmp_path / "unlearn.py").write_text("def unlearning_step(*_):\n    pass\n", encoding="utf-8")
    with pytest.raises(RuntimeError, match="left the model as it was"):
        main(["bad_teacher", "--official", str(tmp_path)])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["slaun", "--official", "."], "unknown method 'slaun'. Did you mean 'salun'?"),
        (["salun", "--official", "FOLDER"], "has no Classification/generate_mask.py; give a checkout"),
        (["salun", "--official", "FOLDER/nowhere"], "is not a folder; give a checkout"),
    ],
)
def test_a_bad_argument_is_one_sentence(tmp_path, capsys, given, message):
    assert main([part.replace("FOLDER", str(tmp_path)) for part in given]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1


def test_a_missing_module_of_the_checkout_gets_no_stand_in(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "part.py").write_text("from package import other_part\n")
    with official_code(tmp_path) as official, pytest.raises(ImportError):
        official.module("package.part")


def test_a_departure_explains_a_difference_up_to_its_bound():
    assert Measured("weights", 1e-12).explained and not Measured("weights", 1e-3).explained
    assert Measured("weights", 9.0, "a reason").explained
    assert Measured("weights", 1e-7, "a reason", at_most=1e-6).explained
    assert not Measured("weights", 1e-5, "a reason", at_most=1e-6).explained
    assert not Measured("weights", float("nan")).explained


def test_differences_are_relative_to_the_largest_value():
    with double_precision():
        assert farthest([torch.tensor([1.0, 4.0])], [torch.tensor([2.0, 4.0])]) == 0.25
        assert farthest([torch.zeros(2)], [torch.zeros(2)]) == 0
        assert farthest([torch.ones(2)], [torch.zeros(2)]) == 1


# --- the page -----------------------------------------------------------------------------------------------


def test_the_page_is_generated_from_the_records():
    records = json.loads(RECORDS.read_text(encoding="utf-8"))
    assert PAGE.read_text(encoding="utf-8") == page(records)
    assert set(records) == set(COMPARISONS)
    assert all(record["commit"] != "unknown" for record in records.values())


def test_every_method_is_compared_or_has_a_reason():
    assert COMPARISONS.keys() | UNCOMPARED.keys() == METHODS.keys()
    assert COMPARISONS.keys().isdisjoint(UNCOMPARED)
