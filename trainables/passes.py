"""Passes over subsets of the train split: the training loop of every training and iterative unlearning method."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite

import torch
from torch import Tensor, nn

from salun_grid.records.errors import Diverged
from salun_grid.trainables import augmentation
from salun_grid.trainables.resident import Augmenter, ResidentData, Subset
from salun_grid.trainables.seeds import generator, seed_layers
from salun_grid.trainables.workers import ALONE, Worker


@dataclass(frozen=True)
class Epoch:
    """The record of one pass. `phase` is `train`, or the subset of an unlearning pass, such as `forget` or `retain`."""

    epoch: int
    phase: str
    loss: float
    accuracy_percent: float
    learning_rate: float
    seconds: float
    num_images: int
    # Read from a checkpoint, not trained in this run.
    resumed: bool = field(default=False, compare=False)

    @property
    def images_per_second(self) -> float:
        return self.num_images / self.seconds


OnEpoch = Callable[[Epoch], None]


@dataclass
class Batch:
    """Augmented `images` uint8 (B, 3, H, W), `labels` int64 (B,), and `places` int64 (B,), positions in the subset."""

    forward: nn.Module
    images: Tensor
    labels: Tensor
    places: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def logits(self) -> Tensor:
        """The model's logits, float (B, num_classes), computed once."""
        return self.forward(self.images)


# Per-image loss of a batch, float (B,); a step minimises its mean.
Loss = Callable[[Batch], Tensor]
# Scalar loss of two batches, one from each of two subsets.
PairLoss = Callable[[Batch, Batch], Tensor]


def cross_entropy(batch: Batch) -> Tensor:
    """Cross-entropy to the subset's labels, float (B,)."""
    return nn.functional.cross_entropy(batch.logits, batch.labels, reduction="none")


@dataclass
class Passes:
    """The training loop: a model with its optimizer, data, augmentation, batch size and the seed of the order.

    `forward` runs the batches: the model itself, its compiled form, or its wrapper for several workers. `advice`
    says what to change if the loss diverges.
    """

    forward: nn.Module
    optimizer: torch.optim.Optimizer
    data: ResidentData
    augmenter: Augmenter
    batch_size: int
    order_seed: int
    on_epoch: OnEpoch = lambda epoch: None
    worker: Worker = ALONE
    advice: str = "lower the learning rate"

    def over(
        self, subset: Subset, epoch: int, loss: Loss = cross_entropy, penalty: Callable[[], Tensor] | None = None
    ) -> Epoch:
        """One shuffled pass over `subset`, minimising the mean `loss` + `penalty` of each batch.

        Loss and accuracy are summed on the device and read once at the end. Raises Diverged if the loss is not
        finite.
        """
        totals = Totals(self, subset.name, epoch)
        world = self.worker.world
        for num_images, batch in self.batches(subset, epoch):
            # The mean over the global batch, times `world`, by which DDP divides.
            batch_loss = loss(batch).sum() * (world / num_images)
            totals.add(batch_loss, batch, num_images / world)
            self.step(batch_loss if penalty is None else batch_loss + penalty())
        return totals.finish(len(subset))

    def over_pairs(self, first: Subset, second: Subset, epoch: int, loss: PairLoss) -> Epoch:
        """One pass over `second`, each batch paired with one of `first`, which is reshuffled whenever it is used up.

        The accuracy is that on `second`.
        """
        totals, num_images = Totals(self, f"{first.name}+{second.name}", epoch), len(second)
        endless = self.endless(first, epoch)
        for size, batch in self.batches(second, epoch):
            other = next(endless)
            num_images += len(other)
            batch_loss = loss(other, batch)
            totals.add(batch_loss, batch, size)
            self.step(batch_loss)
        return totals.finish(len(second), num_images)

    def step(self, loss: Tensor) -> None:
        """One optimizer step on `loss`."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    def batches(self, subset: Subset, epoch: int, *purpose: object) -> Iterator[tuple[int, Batch]]:
        """The batches of one shuffled pass in train mode, each with the size of its global batch.

        Order and augmentation do not depend on the number of workers; each worker takes its shard of every batch.
        """
        images, device = self.data.images["train"], self.data.device
        named = (subset.name, epoch, *purpose)
        order = torch.randperm(len(subset), generator=generator(self.order_seed, "order", *named))
        draws = self.augmenter.draws(len(subset), images.shape[1], *named)
        global_batches, places = self.slices(subset), torch.arange(len(subset))
        shares = [places[self.worker.share(batch)] for batch in global_batches]
        own, sizes = torch.cat(shares), [len(share) for share in shares]
        draws = draws[own].to(device) if draws else None
        chosen = order[own].to(device)
        shuffled = subset.indices[order[own]].to(device)
        inputs = augmentation.augmented_batches(images, shuffled, draws, self.augmenter.config, sizes)
        self.forward.train()
        seed_layers(self.order_seed, *named, self.worker.rank)
        parts = zip(global_batches, inputs, subset.labels[chosen].split(sizes), chosen.split(sizes), strict=True)
        for batch, x, y, place in parts:
            yield batch.stop - batch.start, Batch(self.forward, x, y, place)

    def slices(self, subset: Subset) -> list[slice]:
        """The global batches of one pass over `subset`, as slices."""
        smallest = smallest_batch(self.forward, self.data.images["train"].shape[1], self.data.device)
        return list(batch_slices(len(subset), self.batch_size, smallest))

    def endless(self, subset: Subset, epoch: int) -> Iterator[Batch]:
        """An endless stream of batches of `subset`, reshuffled and augmented anew in each pass."""
        cycle = 0
        while True:
            yield from (batch for _, batch in self.batches(subset, epoch, *(("cycle", cycle) if cycle else ())))
            cycle += 1


class Totals:
    """Loss and accuracy of one pass, summed on the device and read once at the end."""

    def __init__(self, passes: Passes, phase: str, epoch: int) -> None:
        self.passes, self.phase, self.epoch = passes, phase, epoch
        self.started = now(passes.data.device)
        self.sums = torch.zeros(2, dtype=torch.float64, device=passes.data.device)

    def add(self, loss: Tensor, batch: Batch, weight: float) -> None:
        """Add a batch's mean `loss`, times `weight`, and its number of correct predictions."""
        correct = (batch.logits.detach().argmax(1) == batch.labels).sum()
        self.sums += torch.stack([loss.detach() * weight, correct])

    def finish(self, num_counted: int, num_images: int | None = None) -> Epoch:
        """Report and return the epoch of `num_counted` images; `num_images` is the number processed, if larger."""
        passes = self.passes
        mean_loss, correct = (passes.worker.total(self.sums) / num_counted).tolist()
        learning_rate = passes.optimizer.param_groups[0]["lr"]
        if not isfinite(mean_loss):
            raise Diverged(f"the loss of {self.phase} epoch {self.epoch + 1} is {mean_loss}; {passes.advice}.")
        seconds = now(passes.data.device) - self.started
        passed = num_counted if num_images is None else num_images
        done = Epoch(self.epoch, self.phase, mean_loss, 100 * correct, learning_rate, seconds, passed)
        passes.on_epoch(done)
        return done


def batch_slices(num_images: int, batch_size: int, smallest: int = 1) -> Iterator[slice]:
    """Slices of at most `batch_size`; a last batch of fewer than `smallest` images is merged into the previous one."""
    start = 0
    while start < num_images:
        stop = min(start + batch_size, num_images)
        stop = num_images if num_images - stop < smallest else stop
        yield slice(start, stop)
        start = stop


def smallest_batch(model: nn.Module, image_size: int, device: torch.device) -> int:
    """The smallest batch of a step: 2 if a BatchNorm of `model` has one value per channel and image, else 1.

    BatchNorm cannot normalise a single value. Leaves `model` in eval mode.
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


def now(device: torch.device) -> float:
    """Seconds on a monotonic clock, after a device sync."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
