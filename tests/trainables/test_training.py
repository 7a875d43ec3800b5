"""The training loop against naive loops, and what each seed decides."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from salun_grid.records.errors import Diverged
from salun_grid.trainables import augmentation
from salun_grid.trainables.architectures import build_model
from salun_grid.trainables.forget import retain_set, uniform_forget_set
from salun_grid.trainables.passes import Epoch, batch_slices, smallest_batch
from salun_grid.trainables.protocol import AugmentationConfig, ModelConfig, TrainingConfig
from salun_grid.trainables.resident import Augmenter, ResidentData
from salun_grid.trainables.seeds import Seeds
from salun_grid.trainables.training import learning_rate_at, train
from tests.support.oracles import augment, batch_bounds, equal_states, stacked, stream, tiny_model

CONFIG = TrainingConfig(epochs=4, batch_size=16, learning_rate=0.05)
INDICES = torch.arange(5, 400, 9)  # 44 images
SEEDS = Seeds.all(0)


def trained(
    data: ResidentData,
    indices: Tensor = INDICES,
    name: str = "none",
    seeds: Seeds = SEEDS,
    config: TrainingConfig = CONFIG,
) -> tuple[nn.Module, list[Epoch]]:
    epochs: list[Epoch] = []
    model = build_model(ModelConfig(width=4), data.num_classes, seeds.initialisation)
    augmenter = Augmenter(name, AugmentationConfig(), seeds.augmentation)
    train(model, data, indices, config, augmenter, seeds, epochs.append)
    return model, epochs


def test_a_loss_that_is_no_number_is_said_at_once(data):
    """Weights of NaN must never be published as a model."""
    with pytest.raises(Diverged, match=r"the loss of train epoch [1-4] is (nan|inf); lower learning_rate, now 99"):
        trained(data, config=replace(CONFIG, learning_rate=99, momentum=0.99, weight_decay=0.9))


# --- learning rate and batches ------------------------------------------------------------------------------


@pytest.mark.parametrize("epochs", [200, 1, 2, 3, 5, 7, 11, 13, 99, 101])
@pytest.mark.parametrize("milestones", [(0.5, 0.75), (0.3,), (0.1, 0.5, 0.9)])
def test_learning_rate_equals_torchs_multi_step(epochs, milestones):
    config = TrainingConfig(epochs=epochs, milestones=milestones)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    steps = [math.floor(milestone * epochs) for milestone in milestones]
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, steps, gamma=0.1)
    for epoch in range(epochs):
        assert learning_rate_at(epoch, config) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        optimizer.step()
        scheduler.step()


def test_learning_rate_of_the_paper():
    """0.1 for epochs 0–99, 0.01 for 100–149, 0.001 for 150–199."""
    rates = [round(learning_rate_at(epoch, TrainingConfig()), 9) for epoch in range(200)]
    assert rates == [0.1] * 100 + [0.01] * 50 + [0.001] * 50


def test_batches_cover_everything_once_in_order_and_leave_no_image_alone():
    for count in range(130):
        for batch_size in (2, 3, 4, 7, 16, 64, 129, 200):
            parts = [range(count)[batch] for batch in batch_slices(count, batch_size, smallest=2)]
            sizes = [len(part) for part in parts]
            assert [i for part in parts for i in part] == list(range(count))
            assert all(size == batch_size for size in sizes[:-1])
            assert all(2 <= size <= batch_size + 1 for size in sizes) or count == 1
            assert [(part.start, part.stop) for part in parts] == batch_bounds(count, batch_size) or count < 2


@pytest.mark.parametrize(("count", "sizes"), [(256, [256]), (257, [257]), (258, [256, 2]), (513, [256, 257])])
def test_batches_of_256(count, sizes):
    assert [batch.stop - batch.start for batch in batch_slices(count, 256, smallest=2)] == sizes


def test_a_last_batch_of_one_image_stays_where_it_may():
    assert [batch.stop - batch.start for batch in batch_slices(513, 256)] == [256, 256, 1]


SMALLEST = [("3x3", 8, 2), ("3x3", 9, 1), ("3x3", 64, 1), ("imagenet", 32, 2), ("imagenet", 64, 1)]


@pytest.mark.parametrize(("stem", "image_size", "smallest"), SMALLEST)
def test_a_step_needs_two_images_where_a_batchnorm_sees_one_value_each(stem, image_size, smallest):
    model = build_model(ModelConfig(stem=stem, width=4), 3, 0)
    assert smallest_batch(model, image_size, torch.device("cpu")) == smallest
    images = torch.zeros(smallest, 3, image_size, image_size)
    model.train()(images)
    if smallest == 2:
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            model(images[:1])


# --- the loop -----------------------------------------------------------------------------------------------


def naive_training(model: nn.Module, data: ResidentData, name: str) -> list[tuple]:
    """Four epochs over INDICES, one image at a time until the batch; (loss, accuracy, rate) of each epoch."""
    records = []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    for epoch, rate in enumerate([0.05, 0.05, 0.005, 0.0005]):
        optimizer.param_groups[0]["lr"] = [0.05, 0.05, 0.05 * 0.1, 0.05 * 0.1**2][epoch]
        order = INDICES[torch.randperm(len(INDICES), generator=stream(0, "order", "train", epoch))]
        draws = stream(0, "augmentation", "train", epoch)
        inputs = augment(data.images["train"][order], name, AugmentationConfig(), draws)
        losses, hits = [], []
        model.train()
        for start, stop in batch_bounds(len(order), 16):
            labels = data.labels["train"][order[start:stop]]
            logits = model(stacked(inputs[start:stop]))
            optimizer.zero_grad()
            nn.functional.cross_entropy(logits, labels).backward()
            optimizer.step()
            for row, label in zip(logits.detach().double(), labels.tolist(), strict=True):
                losses.append(float(row.exp().sum().log() - row[label]))
                hits.append(row.tolist().index(max(row.tolist())) == label)
        records.append((sum(losses) / len(losses), 100 * sum(hits) / len(hits), rate))
    return records


@pytest.mark.parametrize("name", ["none", "default", "default+ra"])
def test_train_is_bit_equal_to_the_naive_loop(data, name):
    model, _ = trained(data, name=name)
    naive = tiny_model()
    naive_training(naive, data, name)
    assert equal_states(model, naive)
    assert not equal_states(model, tiny_model())


@pytest.mark.parametrize("ahead", [1, 33, 10_000])
def test_how_many_images_are_augmented_together_changes_nothing(data, monkeypatch, ahead):
    model, _ = trained(data, name="default+ra")
    monkeypatch.setattr(augmentation, "AHEAD", ahead)
    assert equal_states(trained(data, name="default+ra")[0], model)


@pytest.mark.parametrize("name", ["none", "default+ra"])
def test_epochs_loss_accuracy_and_rate_equal_naive_sums(data, name):
    _, epochs = trained(data, name=name)
    records = naive_training(tiny_model(), data, name)
    assert [(epoch.epoch, epoch.phase, epoch.num_images) for epoch in epochs] == [
        (i, "train", len(INDICES)) for i in range(4)
    ]
    for epoch, (loss, accuracy, rate) in zip(epochs, records, strict=True):
        assert epoch.loss == pytest.approx(loss, rel=1e-5)
        assert epoch.accuracy_percent == pytest.approx(accuracy, abs=1e-9)
        assert epoch.learning_rate == pytest.approx(rate, rel=1e-9)
        assert epoch.seconds > 0
        assert epoch.images_per_second == epoch.num_images / epoch.seconds
    assert len({accuracy for _, accuracy, _ in records}) > 1


def test_the_same_seed_twice_gives_the_same_weights(data):
    first, second = trained(data, name="default+ra")[0], trained(data, name="default+ra")[0]
    assert equal_states(first, second)


def test_training_fits_a_few_images(data):
    config = replace(CONFIG, epochs=50, milestones=(0.8,))
    _, epochs = trained(data, config=config)
    assert epochs[-1].accuracy_percent > 95 > epochs[0].accuracy_percent


def test_the_global_generator_plays_no_part(data):
    torch.manual_seed(1)
    first, _ = trained(data, name="default+ra")
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second, _ = trained(data, name="default+ra")
    assert equal_states(first, second)
    assert torch.equal(torch.get_rng_state(), before)


# --- seeds and leaks ----------------------------------------------------------------------------------------


def streams_of(data: ResidentData, seeds: Seeds, monkeypatch) -> dict[str, list[Tensor]]:
    """The starting weights, the images in order and the draws that one training used."""
    seen: dict[str, list[Tensor]] = {"order": [], "augmentation": []}
    real = augmentation.apply

    def spy(images, draws, config):
        seen["order"].append(images.clone())
        seen["augmentation"] += [draws.offsets, draws.flips, draws.operations, draws.negative]
        return real(images, draws, config)

    start = build_model(ModelConfig(width=4), data.num_classes, seeds.initialisation)
    seen["initialisation"] = [parameter.detach() for parameter in start.parameters()]
    with monkeypatch.context() as patched:
        patched.setattr(augmentation, "apply", spy)
        patched.setattr(augmentation, "AHEAD", 1)  # a call for each batch
        trained(data, name="default+ra", seeds=seeds)
    return seen


@pytest.mark.parametrize("purpose", ["initialisation", "order", "augmentation"])
def test_one_seed_changes_only_its_own_stream(data, monkeypatch, purpose):
    before = streams_of(data, SEEDS, monkeypatch)
    after = streams_of(data, replace(SEEDS, **{purpose: 1}), monkeypatch)
    changed = {
        name for name in before if not all(torch.equal(a, b) for a, b in zip(before[name], after[name], strict=True))
    }
    assert changed == {purpose}
    assert len(before["order"]) == 4 * 3


@pytest.mark.parametrize("seeds", [replace(SEEDS, forget=1), replace(SEEDS, unlearning=1)])
def test_the_other_seeds_do_not_touch_a_training(data, seeds):
    first, second = trained(data, name="default")[0], trained(data, name="default", seeds=seeds)[0]
    assert equal_states(first, second)


def test_each_epoch_has_an_order_and_draws_of_its_own(data, monkeypatch):
    seen = streams_of(data, SEEDS, monkeypatch)
    orders = [torch.cat(seen["order"][i : i + 3]) for i in range(0, 12, 3)]
    offsets = [torch.cat(seen["augmentation"][i : i + 12 : 4]) for i in range(0, 48, 12)]
    for i in range(4):
        for j in range(i):
            assert not torch.equal(orders[i], orders[j])
            assert not torch.equal(offsets[i], offsets[j])


@pytest.mark.parametrize("name", ["none", "default+ra"])
def test_a_retrain_never_touches_what_it_must_not_see(data, name):
    """Other pixels and labels in D_f, validation and test give bit-equal weights; in D_r they do not."""
    forget = uniform_forget_set(0.5, 80, seed=0)
    retain = torch.from_numpy(retain_set(forget, 80))
    clean, _ = trained(data, retain, name)
    poisoned = copy.deepcopy(data)
    poison(poisoned, "train", torch.from_numpy(forget))
    for split in ("val", "test"):
        poison(poisoned, split, torch.arange(len(poisoned.labels[split])))
    assert equal_states(clean, trained(poisoned, retain, name)[0])
    poison(poisoned, "train", retain[:1])
    assert not equal_states(clean, trained(poisoned, retain, name)[0])


def poison(data: ResidentData, split: str, indices: Tensor) -> None:
    data.images[split][indices] = 255 - data.images[split][indices]
    data.labels[split][indices] = (data.labels[split][indices] + 1) % data.num_classes
