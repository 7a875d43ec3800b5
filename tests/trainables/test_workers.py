"""A training by several workers is the training by one: same batches, same statistics, same weights."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from salun_grid.trainables.architectures import build_model
from salun_grid.trainables.passes import Epoch
from salun_grid.trainables.protocol import AugmentationConfig, ModelConfig, TrainingConfig
from salun_grid.trainables.resident import Augmenter, ResidentData
from salun_grid.trainables.seeds import Seeds
from salun_grid.trainables.training import train
from salun_grid.trainables.workers import ALONE, Worker
from tests.support.processes import run_workers

NUM_IMAGES = 17
CONFIG = TrainingConfig(epochs=3, batch_size=8, learning_rate=0.05)
# Workers, and images of a batch: of 17 in batches of 8 the last one joins the batch before; in batches of 15 the last
# batch has two images, so that the third worker has none.
CASES = [(2, 8), (3, 15)]


def train_small(worker: Worker, config: TrainingConfig) -> tuple[dict, list[Epoch]]:
    """Weights and epochs in float64, where nothing but rounding at 1e-16 tells one order of sums from another."""
    torch.set_default_dtype(torch.float64)
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (NUM_IMAGES,), generator=random)
    images = torch.randint(0, 150, (NUM_IMAGES, 12, 12, 1), generator=random) + 50 * labels[:, None, None, None]
    splits = ("train", "val", "test")
    data = ResidentData(
        {split: images.to(torch.uint8) for split in splits}, dict.fromkeys(splits, labels), num_classes=3
    )
    model = build_model(ModelConfig(width=4), 3, seed=0).double()
    augmenter = Augmenter("default+ra", AugmentationConfig(), 0)
    epochs: list[Epoch] = []
    train(model, data, torch.arange(NUM_IMAGES), config, augmenter, Seeds.all(0), epochs.append, worker)
    return model.state_dict(), epochs


def one_worker(rank: int, folder: str) -> None:
    """What one process does in each case that has a place for it; to start a process takes longer than a case."""
    torch.set_num_threads(1)
    for world, batch_size in CASES:
        if rank < world:
            meeting = f"file://{folder}/meeting-{world}"
            dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world)
            state, epochs = train_small(Worker(rank, world), replace(CONFIG, batch_size=batch_size))
            measured = [(epoch.loss, epoch.accuracy_percent) for epoch in epochs]
            torch.save((state, measured), Path(folder, f"{rank} of {world}.pt"))
            dist.destroy_process_group()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of every worker's weights and epochs."""
    folder = tmp_path_factory.mktemp("workers")
    run_workers(one_worker, str(folder), max(world for world, _ in CASES))
    return folder


@pytest.fixture
def float32_again():
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(("world", "batch_size"), CASES)
@pytest.mark.usefixtures("float32_again")
def test_several_workers_end_with_the_weights_of_one(world: int, batch_size: int, trained: Path) -> None:
    alone, epochs = train_small(ALONE, replace(CONFIG, batch_size=batch_size))
    for rank in range(world):
        state, measured = torch.load(trained / f"{rank} of {world}.pt")
        assert list(state) == list(alone)
        for name in alone:
            torch.testing.assert_close(state[name], alone[name], rtol=1e-9, atol=1e-11)
        for (loss, accuracy), epoch in zip(measured, epochs, strict=True):
            assert loss == pytest.approx(epoch.loss, rel=1e-9)
            assert accuracy == epoch.accuracy_percent


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_shares_part_every_batch(world: int) -> None:
    for batch in (slice(0, 8), slice(8, 9), slice(3, 14)):
        shares = [list(range(100))[Worker(rank, world).share(batch)] for rank in range(world)]
        assert sorted(image for share in shares for image in share) == list(range(100))[batch]
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
