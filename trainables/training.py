"""The training loop: SGD over resident uint8 images, for the original, the retrain and the unlearning alike."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cache
from math import isfinite

import torch
from torch import Tensor, nn

from trainables import augmentation
from trainables.checkpoint import NO_CHECKPOINTS, Checkpoints, pack, unpack
from trainables.data import SPLITS, Dataset
from trainables.errors import Diverged
from trainables.layout import laid_out
from trainables.protocol import AugmentationConfig, TrainingConfig
from trainables.seeds import Seeds, generator
from trainables.sgd import sgd
from trainables.workers import ALONE, Worker


@dataclass(frozen=True)
class ResidentData:
    """One dataset on one device: `images[split]` uint8 (N, H, W, C), `labels[split]` int64 (N,)."""

    images: dict[str, Tensor]
    labels: dict[str, Tensor]
    num_classes: int

    @classmethod
    def of(cls, dataset: Dataset, device: torch.device) -> "ResidentData":
        """Copy `dataset` to `device` once; every pass then only indexes it."""
        images = {split: torch.tensor(dataset.images[split], device=device) for split in SPLITS}
        labels = {split: torch.tensor(dataset.labels[split], device=device) for split in SPLITS}
        return cls(images, labels, dataset.info.num_classes)

    @property
    def device(self) -> torch.device:
        return self.labels["train"].device


@dataclass(frozen=True)
class Epoch:
    """What one epoch did. `phase` is `train`, or a pass of an unlearning such as `forget` or `retain`."""

    epoch: int
    phase: str
    loss: float
    accuracy_percent: float
    learning_rate: float
    seconds: float
    num_images: int
    # Read from a checkpoint, and not trained in this sitting.
    resumed: bool = field(default=False, compare=False)

    @property
    def images_per_second(self) -> float:
        return self.num_images / self.seconds


@dataclass(frozen=True)
class Augmenter:
    """A cell's augmentation, its strengths and its seed: what a pass needs to draw from."""

    name: str
    config: AugmentationConfig
    seed: int

    def draws(self, num_images: int, image_size: int, *purpose: object) -> augmentation.Draws | None:
        """The draws of one pass; its purpose, such as ("train", epoch), names the stream."""
        stream = generator(self.seed, "augmentation", *purpose)
        return augmentation.AUGMENTATIONS[self.name](num_images, image_size, self.config, stream)


OnEpoch = Callable[[Epoch], None]


def train(
    model: nn.Module,
    data: ResidentData,
    indices: Tensor,
    config: TrainingConfig,
    augmenter: Augmenter,
    seeds: Seeds,
    on_epoch: OnEpoch = lambda epoch: None,
    worker: Worker = ALONE,
    checkpoints: Checkpoints = NO_CHECKPOINTS,
    forward: nn.Module | None = None,
) -> None:
    """Train `model` in place on the train images `indices` (int64, CPU) for `config.epochs` epochs.

    SGD with momentum, the learning rate × `decay_factor` at each milestone, the last epoch kept. Every worker of
    a training calls this with the same arguments and ends with the same weights. A training that finds its own
    state in `checkpoints` goes on from there, to the same weights; `on_epoch` then gets the earlier epochs again.
    `forward` is what batches go through where it is not `model` itself: the same compiled.
    """
    optimizer = sgd(model, config)
    state = checkpoints.load()
    epochs = [Epoch(**done | {"resumed": True}) for done in unpack(state, model, optimizer)] if state else []
    for done in epochs:
        on_epoch(done)
    labels = data.labels["train"][indices.to(data.device)]
    wrapped, saved_at = worker.wrap(forward or model), time.monotonic()
    for epoch in range(len(epochs), config.epochs):
        set_learning_rate(optimizer, learning_rate_at(epoch, config))
        epochs.append(
            one_pass(
                wrapped,
                optimizer,
                data,
                indices,
                labels,
                augmenter,
                config.batch_size,
                seeds.order,
                epoch,
                worker=worker,
            )
        )
        on_epoch(epochs[-1])
        if worker.rank == 0 and time.monotonic() - saved_at >= checkpoints.min_seconds:
            checkpoints.save(pack(model, optimizer, [asdict(done) for done in epochs]))
            saved_at = time.monotonic()


def one_pass(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: ResidentData,
    indices: Tensor,
    labels: Tensor,
    augmenter: Augmenter,
    batch_size: int,
    order_seed: int,
    epoch: int,
    phase: str = "train",
    worker: Worker = ALONE,
) -> Epoch:
    """One shuffled pass over the train images `indices` (int64, CPU) towards `labels` (int64, on the device).

    Loss and accuracy are summed on the device and read once at the end.
    Order and draws are those of the whole pass, whatever the number of workers; each takes its share of a batch.
    """
    started = now(data.device)
    images = data.images["train"]
    order = torch.randperm(len(indices), generator=generator(order_seed, "order", phase, epoch))
    draws = augmenter.draws(len(indices), images.shape[1], phase, epoch)
    smallest = smallest_batch(model, images.shape[1], data.device)
    global_batches, places = list(batches(len(indices), batch_size, smallest)), torch.arange(len(indices))
    shares = [places[worker.share(batch)] for batch in global_batches]
    own, sizes = torch.cat(shares), [len(share) for share in shares]
    draws = draws[own].to(data.device) if draws else None
    shuffled, targets = indices[order[own]].to(data.device), labels[order[own].to(data.device)]
    inputs = augmentation.augmented_batches(images, shuffled, draws, augmenter.config, sizes)
    totals = torch.zeros(2, dtype=torch.float64, device=data.device)
    model.train()
    for batch, x, y in zip(global_batches, inputs, targets.split(sizes), strict=True):
        batch_images = batch.stop - batch.start
        logits = model(x)
        # The mean over the global batch, times what DDP divides by.
        loss = nn.functional.cross_entropy(logits, y, reduction="sum") * (worker.world / batch_images)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        loss_sum = loss.detach() * (batch_images / worker.world)
        totals += torch.stack([loss_sum, (logits.detach().argmax(1) == y).sum()])
    mean_loss, correct = (worker.total(totals) / len(indices)).tolist()
    learning_rate = optimizer.param_groups[0]["lr"]
    if not isfinite(mean_loss):
        raise Diverged(
            f"the loss of {phase} epoch {epoch + 1} is {mean_loss}; try a learning rate below {learning_rate}."
        )
    seconds = now(data.device) - started
    return Epoch(epoch, phase, mean_loss, 100 * correct, learning_rate, seconds, len(indices))


def batches(num_images: int, batch_size: int, smallest: int = 1) -> Iterator[slice]:
    """Slices of at most `batch_size`; a last batch of fewer than `smallest` images joins the one before."""
    start = 0
    while start < num_images:
        stop = min(start + batch_size, num_images)
        stop = num_images if num_images - stop < smallest else stop
        yield slice(start, stop)
        start = stop


def smallest_batch(model: nn.Module, image_size: int, device: torch.device) -> int:
    """Images that a step needs: 2 where some BatchNorm of `model` sees one value per channel and image, else 1.

    BatchNorm cannot normalise a single value. `model` is in eval mode afterwards.
    """
    sizes: list[int] = []

    def record(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        sizes.append(inputs[0][0, 0].numel())

    hooks = [m.register_forward_pre_hook(record) for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, image_size, image_size, dtype=torch.uint8, device=device))
    for hook in hooks:
        hook.remove()
    return 2 if 1 in sizes else 1


def learning_rate_at(epoch: int, config: TrainingConfig) -> float:
    """The learning rate of an epoch counted from 0: decayed once for each milestone already reached."""
    reached = sum(epoch >= int(milestone * config.epochs) for milestone in config.milestones)
    return config.learning_rate * config.decay_factor**reached


@cache
def warm_up(device: torch.device) -> None:
    """Choose kernels that repeat themselves bit for bit, and take one small step, once a process.

    No clock then counts what PyTorch and cuDNN load at their first.
    """
    torch.backends.cudnn.deterministic = True
    layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 1))
    model = laid_out(layers.to(device))
    model(torch.ones(2, 3, 3, 3, device=device)).sum().backward()
    sgd(model, TrainingConfig()).step()
    now(device)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def now(device: torch.device) -> float:
    """Seconds on a clock that only goes forward, read after the device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
