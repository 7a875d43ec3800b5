"""What a key says of code: a version that a changed result must raise, or a hash of the source."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from salun_grid.records.errors import InputError
from salun_grid.trainables.methods import METHODS
from salun_grid.trainables.probes import PROBES
from salun_grid.trainables.protocol import Protocol, UnlearningConfig
from salun_grid.trainables.versions import version_in_key
from tests.support.unlearning import AT_WORK, measures, unlearned

# The sum of |weights| of the tiny float64 model after two epochs of each method, by name and version. Where a method's
# result changes on purpose, raise its version and give the new number.
OUTCOMES: dict[tuple[str, int], float] = {
    ("finetune", 1): 3772.369677,
    ("gradient_ascent", 1): 3771.975995,
    ("negative_gradient_plus", 1): 3772.209488,
    ("random_label", 1): 3774.532054,
    ("salun", 1): 3773.719392,
    ("l1_sparse", 1): 3769.586845,
    ("scrub", 1): 3772.801907,
    ("bad_teacher", 1): 3787.272016,
    ("cf_k", 1): 3771.129624,
    ("ugradsl", 1): 3772.122701,
    ("ugradsl_plus", 1): 3772.455936,
    ("amun", 1): 3774.601173,
    ("sfron", 1): 3771.683583,
    ("munba", 1): 3772.376435,
    ("salun_soft", 1): 3774.700796,
    ("task_arithmetic", 1): 3772.107223,
    ("neg_merge", 1): 3772.491505,
    ("delete", 1): 3771.477025,
    ("unsir", 1): 3880.953143,
    ("regun", 1): 3771.738819,
    ("salun_cra", 1): 3773.843522,
    ("lotus", 1): 3784.003279,
    ("noisy_finetune", 1): 3505.750259,
    ("ssd", 1): 3578.375141,
    ("lfssd", 2): 3631.021767,
    ("eu_k", 1): 3770.709121,
    ("boundary_shrink", 1): 3772.225749,
    ("boundary_expand", 1): 3772.400446,
    ("fisher", 1): 3771.72255,
    ("influence", 1): 3788.714074,
    ("msg", 1): 3764.910767,
    ("ct", 1): 3771.762853,
}
# The sum of the measures of each probe, likewise.
MEASURES: dict[tuple[str, int], float] = {
    ("relearn", 1): 92.59259328,
}


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize("name", METHODS)
def test_a_method_with_another_result_has_another_version(data, name):
    protocol = Protocol(unlearning=UnlearningConfig(epochs=2, batch_size=16, learning_rate=0.005))
    model = unlearned(AT_WORK.get(name, name), data, settings=protocol)
    found = sum(float(weight.detach().abs().sum()) for weight in model.parameters())
    assert found == pytest.approx(OUTCOMES[name, METHODS[name].version], rel=1e-7)


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize("name", PROBES)
def test_a_probe_with_another_result_has_another_version(data, name):
    found = sum(measure.value for measure in measures(name, data, learning_rate=0.1, epochs=8))
    assert found == pytest.approx(MEASURES[name, PROBES[name].version], rel=1e-7)


def function_in(path: Path, source: str):
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module.unlearn


def test_without_a_version_an_edit_of_the_module_changes_the_key(tmp_path, monkeypatch):
    """Two files stand for the file before and after the edit, since Python keeps the lines that it read."""
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    first = function_in(tmp_path / "first.py", "RATE = 1\n\ndef unlearn(job):\n    job.rate = RATE\n")
    same = function_in(tmp_path / "same.py", "RATE = 1\n\ndef unlearn(job):\n    job.rate = RATE\n")
    edited = function_in(tmp_path / "edited.py", "RATE = 2\n\ndef unlearn(job):\n    job.rate = RATE\n")
    assert version_in_key(None, first) == version_in_key(None, same) != version_in_key(None, edited)
    assert version_in_key(3, first) == version_in_key(3, edited) == 3


def test_a_function_without_a_source_needs_a_version():
    names: dict = {"__name__": "notebook"}
    exec("def unlearn(job):\n    pass\n", names)
    with pytest.raises(InputError, match="the source of unlearn cannot be read and it has no version"):
        version_in_key(None, names["unlearn"])


def test_every_method_and_probe_of_ours_has_a_version():
    entries = [*METHODS.values(), *PROBES.values()]
    assert all(isinstance(entry.version, int) for entry in entries)
    assert replace(METHODS["finetune"], version=None).version is None
