"""Contracts for every probe, and each probe against a naive restatement."""

import copy

import pytest
import torch
from torch import nn

from salun_grid.trainables.probes import PROBES
from salun_grid.trainables.probes.relearn import split
from salun_grid.trainables.resident import ResidentData
from salun_grid.trainables.settings import settings_of
from tests.support.oracles import equal_states, stream, tiny_model
from tests.support.unlearning import job_of, measures

FORGET = torch.arange(0, 90, 3)
RETAIN = torch.tensor([i for i in range(90) if i % 3])


@pytest.mark.parametrize("name", PROBES)
class TestProbe:
    def test_measures_are_finite_numbers_with_a_unit_and_each_once(self, name, data):
        found = measures(name, data)
        assert found and all(torch.isfinite(torch.tensor(measure.value)) for measure in found)
        assert len({(measure.metric, measure.element) for measure in found}) == len(found)
        assert all(measure.metric.isidentifier() for measure in found)

    def test_it_repeats_itself_and_another_seed_differs(self, name, data):
        assert measures(name, data) == measures(name, data)
        assert measures(name, data) != measures(name, data, seed=1)

    def test_the_data_stay_as_they_are(self, name, data):
        before = copy.deepcopy((data.images, data.labels))
        measures(name, data)
        for old, new in zip(before, (data.images, data.labels), strict=True):
            assert all(torch.equal(old[split], new[split]) for split in old)

    def test_every_setting_has_a_range_and_a_source(self, name, data):
        assert all(setting.allowed and setting.source for setting in settings_of(PROBES[name].settings))
        assert PROBES[name].idea and PROBES[name].paper

    def test_it_counts_what_it_trains_on(self, name, data):
        job, epochs = job_of(name, data)
        list(PROBES[name].run(job))
        counted = PROBES[name].passes(job.settings).images(len(FORGET), len(RETAIN))
        assert counted >= sum(epoch.num_images for epoch in epochs) - len(epochs)


# --- relearn ------------------------------------------------------------------------------------------------


@torch.no_grad()
def accuracy(model: nn.Module, data: ResidentData, indices: torch.Tensor) -> float:
    model.eval()
    right = [
        int(
            model(data.images["train"][i].permute(2, 0, 1)[None].expand(-1, 3, -1, -1)).argmax()
            == data.labels["train"][i]
        )
        for i in indices
    ]
    return 100 * sum(right) / len(right)


@pytest.mark.parametrize(("fraction", "num_seen"), [(0.1, 3), (0.01, 1), (0.99, 29), (0.0, 0)])
def test_a_part_of_the_forget_set_is_seen_and_the_rest_measured(data, fraction, num_seen):
    forget = data.subset("forget", FORGET)
    seen, unseen = split(forget, fraction, stream(0, "relearn"))
    assert (len(seen), len(unseen)) == (num_seen, len(FORGET) - num_seen)
    assert sorted([*seen.indices.tolist(), *unseen.indices.tolist()]) == FORGET.tolist()
    for part in (seen, unseen):
        assert torch.equal(part.labels, data.labels["train"][part.indices])


@pytest.mark.parametrize("fraction", [0.2, 0.0])
def test_relearning_is_training_on_the_part_and_predicting_the_rest(data, fraction):
    """The naive restatement: a pass of SGD over the part, then each other image of D_f alone."""
    job, epochs = job_of("relearn", data, fraction=fraction, learning_rate=0.05)
    seen, unseen = split(job.forget, fraction, job.generator("relearn"))
    model = tiny_model()
    twin, _ = job_of("relearn", data, fraction=fraction, learning_rate=0.05)
    twin.model = twin.forward = model
    passes = twin.passes(twin.sgd())
    wanted = [accuracy(model, data, unseen.indices)]
    for epoch in range(2):
        passes.over(seen if fraction else twin.retain, epoch)
        wanted.append(accuracy(model, data, unseen.indices))
    found = list(PROBES["relearn"].run(job))
    assert [measure.element for measure in found] == [0, 1, 2]
    assert [measure.value for measure in found] == pytest.approx(wanted)
    assert {epoch.phase for epoch in epochs} == {"forget" if fraction else "retain"}
    assert equal_states(job.model, model)


def test_a_model_that_holds_the_forget_set_regains_it_sooner(data):
    """A model trained on all of D_f, its head shuffled, against one that was never trained."""
    trained, _ = job_of("relearn", data, fraction=0.5, learning_rate=0.05, epochs=12)
    passes = trained.passes(trained.sgd())
    for epoch in range(40):
        passes.over(trained.forget, epoch)
    with torch.no_grad():
        trained.model.fc.weight.copy_(trained.model.fc.weight.roll(1, 0))
        trained.model.fc.bias.copy_(trained.model.fc.bias.roll(1, 0))
    fresh, _ = job_of("relearn", data, fraction=0.5, learning_rate=0.05, epochs=12)
    # Over all epochs: the last one has few values to take, and equals the other's on some processors.
    regained, learned = (sum(measure.value for measure in PROBES["relearn"].run(job)) for job in (trained, fresh))
    assert regained > learned
