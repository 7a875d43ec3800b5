"""Gradients of single images and of a subset against a loop over images, in every form that a model may have."""

import copy
import weakref
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from salun_grid.records.errors import Diverged
from salun_grid.trainables.architectures import build_model
from salun_grid.trainables.methods import METHODS, Unlearning, gradients, influence
from salun_grid.trainables.passes import Epoch
from salun_grid.trainables.protocol import AugmentationConfig, ModelConfig
from salun_grid.trainables.resident import Augmenter
from tests.support.host_sync import Watch
from tests.support.oracles import augment, digits, equal_lists, equal_states, stream
from tests.support.unlearning import FORGET, RETAIN, SEEDS, unlearned

FORMS = {
    "3x3": ModelConfig(width=4),
    "3x3 in channels_last": ModelConfig(width=16),
    "imagenet": ModelConfig(width=16, stem="imagenet"),
}


class SmallTransformer(nn.Module):
    """Patches, a class token, attention: parameters that belong to no layer, and no BatchNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.norm = nn.Conv2d(3, 16, 4, 4), nn.GroupNorm(4, 16)
        self.token, self.positions = nn.Parameter(torch.ones(1, 1, 16)), nn.Parameter(torch.ones(1, 5, 16))
        self.encoder = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.5, batch_first=True, norm_first=True)
        self.fc = nn.Linear(16, 10)

    def forward(self, images: Tensor) -> Tensor:
        pixels = (images / 255).to(memory_format=torch.channels_last)
        patches = self.norm(self.patches(pixels)).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(images), -1, -1), patches], 1) + self.positions
        return self.fc(self.encoder(tokens)[:, 0])


def job_of(config: ModelConfig = FORMS["3x3"], name: str = "none", records: list[Epoch] | None = None) -> Unlearning:
    data = digits()
    model = build_model(config, data.num_classes, 0)
    augmenter = Augmenter(name, AugmentationConfig(), SEEDS.augmentation)
    note = records.append if records is not None else lambda epoch: None
    subsets = data.forget_and_retain(FORGET, RETAIN)
    return Unlearning(model, model, data, *subsets, METHODS["ssd"].settings(), augmenter, SEEDS, note)


def gradients_by_loop(
    job: Unlearning, indices: Tensor, name: str = "none", phase: str = "forget"
) -> list[list[Tensor]]:
    """For each image the gradient of its cross-entropy, one backward pass for each, on augmented images."""
    draws = stream(SEEDS.augmentation, "augmentation", "gradients", phase)
    inputs = augment(job.data.images["train"][indices], name, AugmentationConfig(), draws)
    model, found = copy.deepcopy(job.model).eval(), []
    for image, label in zip(inputs, job.data.labels["train"][indices], strict=True):
        model.zero_grad()
        nn.functional.cross_entropy(model(image[None]), label[None]).backward()
        found.append([weight.grad.clone() for weight in model.parameters()])
    return found


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize(("form", "name"), [*((form, "none") for form in FORMS), ("3x3", "default")])
def test_each_images_gradient_is_that_of_a_loop(form, name):
    """30 images: a chunk of 16 and one of 14."""
    job = job_of(FORMS[form], name)
    chunks = [[part.clone() for part in parts] for parts in gradients.per_image_gradients(job, job.forget)]
    assert [len(parts[0]) for parts in chunks] == [16, 14]
    wanted = [torch.stack(parts) for parts in zip(*gradients_by_loop(job, FORGET, name), strict=True)]
    for mine, theirs in zip(zip(*chunks, strict=True), wanted, strict=True):
        torch.testing.assert_close(torch.cat(mine), theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("double_precision")
def test_each_images_gradient_is_that_of_a_loop_in_a_transformer():
    job = job_of()
    job.model = SmallTransformer()
    chunks = [[part.clone() for part in parts] for parts in gradients.per_image_gradients(job, job.forget)]
    wanted = [torch.stack(parts) for parts in zip(*gradients_by_loop(job, FORGET), strict=True)]
    for mine, theirs in zip(zip(*chunks, strict=True), wanted, strict=True):
        torch.testing.assert_close(torch.cat(mine), theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("double_precision")
def test_the_diagonal_of_the_fisher_matrix_is_the_mean_square_of_a_loop():
    job = job_of()
    by_image = gradients_by_loop(job, FORGET)
    for mine, parts in zip(gradients.mean_squared_gradient(job, job.forget), zip(*by_image, strict=True), strict=True):
        torch.testing.assert_close(mine, sum(part**2 for part in parts) / 30, rtol=1e-9, atol=1e-14)


@pytest.mark.usefixtures("double_precision")
def test_the_mean_gradient_is_that_of_a_loop():
    job = job_of(name="default")
    by_image = gradients_by_loop(job, RETAIN, "default", "retain")
    for mine, parts in zip(gradients.mean_gradient(job, job.retain), zip(*by_image, strict=True), strict=True):
        torch.testing.assert_close(mine, sum(parts) / 60, rtol=1e-9, atol=1e-12)


def test_bf16_changes_gradients_by_rounding_alone():
    exact, rounded = (
        gradients.mean_squared_gradient(job, job.forget)
        for job in (job_of(ModelConfig(width=16, precision=precision)) for precision in ("fp32", "bf16"))
    )
    assert not equal_lists(exact, rounded)
    for mine, wanted in zip(rounded, exact, strict=True):
        assert (mine.sqrt() - wanted.sqrt()).norm() < 0.1 * wanted.sqrt().norm()


@pytest.mark.parametrize("taken", [gradients.mean_gradient, gradients.mean_squared_gradient])
def test_the_model_stays_as_it_is_and_the_pass_is_reported(taken):
    records: list[Epoch] = []
    job = job_of(records=records)
    job.model.train()
    before = copy.deepcopy(job.model)
    taken(job, job.retain)
    assert equal_states(job.model, before)
    assert all(weight.grad is None and weight.requires_grad for weight in job.model.parameters())
    (record,) = records
    logits = before.eval()(
        torch.stack(augment(job.data.images["train"][RETAIN], "none", AugmentationConfig(), stream(0)))
    )
    labels = job.data.labels["train"][RETAIN]
    assert (record.phase, record.num_images, record.learning_rate) == ("retain", 60, 0.0)
    assert record.loss == pytest.approx(nn.functional.cross_entropy(logits, labels).item(), rel=1e-5)
    assert record.accuracy_percent == pytest.approx(100 * (logits.argmax(1) == labels).float().mean().item())


@pytest.mark.parametrize("taken", [gradients.mean_gradient, gradients.mean_squared_gradient])
def test_a_pass_asks_the_device_nothing(taken, monkeypatch):
    monkeypatch.setattr(gradients, "BATCH", 8)
    job = job_of()
    with Watch() as watch:
        taken(job, job.retain)
    assert watch.waits == []


def test_an_original_whose_loss_is_no_number_is_said():
    job = job_of()
    nn.init.constant_(job.model.fc.weight, float("nan"))
    with pytest.raises(Diverged, match=r"the original's loss on forget is nan; lower training\.learning_rate"):
        gradients.mean_squared_gradient(job, job.forget)


class OneAtATime:
    """Iterates over chunks and fails where an earlier one is still in memory."""

    def __init__(self, chunks: Iterator[list[Tensor]]) -> None:
        self.chunks, self.earlier, self.count = chunks, [], 0

    def __iter__(self) -> "OneAtATime":
        return self

    def __next__(self) -> list[Tensor]:
        chunk = next(self.chunks)
        assert not any(reference() is not None for reference in self.earlier)
        self.earlier, self.count = [weakref.ref(part) for part in chunk], self.count + 1
        return chunk


@pytest.mark.parametrize("method", ["fisher", "influence", "ssd", "lfssd"])
def test_no_second_chunk_of_gradients_is_in_memory(monkeypatch, method):
    passes: list[OneAtATime] = []

    def watched(*arguments) -> OneAtATime:
        passes.append(OneAtATime(per_image_gradients(*arguments)))
        return passes[-1]

    per_image_gradients = gradients.per_image_gradients
    for module in (gradients, influence):
        monkeypatch.setattr(module, "per_image_gradients", watched)
    unlearned(method, digits())
    assert passes and all(each.count > 1 for each in passes)


def test_a_chunk_that_is_kept_is_seen():
    chunks = OneAtATime(gradients.per_image_gradients(job := job_of(), job.forget))
    kept = next(chunks)
    with pytest.raises(AssertionError):
        next(chunks)
    assert kept
