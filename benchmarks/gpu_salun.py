"""Benchmarks of SalUn's parts on a GPU: mask, epoch, prediction of every image and membership inference attack."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from benchmarks import peer
from benchmarks.engine import NUM_CLASSES, Part, on_the_device, pixels, reproducible
from benchmarks.gpu_training import AUGMENTATION, RESEARCH, research_model
from benchmarks.gpu_variants import Case, MakeVariant, Size, TimeLeft, measured
from benchmarks.measure import DEVICE
from benchmarks.salun import attack_ways
from salun_grid.trainables.architectures import build_model
from salun_grid.trainables.methods import Unlearning
from salun_grid.trainables.methods.random_label import RandomLabel, random_label
from salun_grid.trainables.optimizers import Mask
from salun_grid.trainables.prediction import predict
from salun_grid.trainables.protocol import AugmentationConfig, ModelConfig, SaliencyConfig
from salun_grid.trainables.resident import Augmenter, ResidentData
from salun_grid.trainables.saliency import saliency, top_fraction
from salun_grid.trainables.seeds import Seeds

PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True)
class Work:
    """Random images for every split; the first tenth of the train images is the forget set."""

    size: Size

    @cached_property
    def parts(self) -> dict[str, Part]:
        counts = {"train": self.size.num_train, "val": self.size.num_test // 2, "test": self.size.num_test}
        return {split: pixels(count, self.size.image_size, seed) for seed, (split, count) in enumerate(counts.items())}

    @cached_property
    def data(self) -> ResidentData:
        return on_the_device(self.parts)

    @cached_property
    def forget_and_retain(self) -> tuple[Tensor, Tensor]:
        indices = torch.arange(self.size.num_train)
        return indices[: self.size.num_forgotten], indices[self.size.num_forgotten :]

    def images(self, split: str, augmentation: str, kept: slice = slice(None)) -> peer.Images:
        """A split, or its images `kept`, for research-style code."""
        images, labels = self.parts[split]
        return peer.Images(images[kept], labels[kept], peer.transform(augmentation, self.size.image_size))

    def forgotten_and_retained(self, augmentation: str) -> tuple[peer.Images, peer.Images]:
        count = self.size.num_forgotten
        forgotten = self.images("train", augmentation, slice(count))
        return forgotten, self.images("train", augmentation, slice(count, None))


def salun(size: Size, repetitions: int, time_left: TimeLeft) -> list[Case]:
    work = Work(size)
    counts = {split: len(labels) for split, (_, labels) in work.parts.items()}
    attacks: dict[str, MakeVariant] = {
        name: lambda act=act: act  # type: ignore[misc]
        for name, act in attack_ways(counts, size.num_forgotten).items()
    }
    num_all, num_members = sum(counts.values()), min(counts["train"] - size.num_forgotten, counts["test"])
    cases: list[tuple[str, float, dict[str, MakeVariant]]] = [
        (f"the mask, from {size.num_forgotten:,} images", size.num_forgotten, both(research_mask, our_mask, work)),
        (f"an epoch of SalUn, {size.num_train:,} images", size.num_train, both(research_epoch, our_epoch, work)),
        (f"predicting {num_all:,} images", num_all, both(research_prediction, our_prediction, work)),
        (f"the membership attack, {2 * num_members:,} images (CPU)", 2 * num_members, attacks),
    ]
    return [measured(name, "images", count, variants, repetitions, time_left) for name, count, variants in cases]


def both(
    research: Callable[[Work], Callable[[], object]], ours: Callable[[Work, str], Callable[[], object]], work: Work
) -> dict[str, MakeVariant]:
    """The research-style variant, and ours in each precision."""
    variants: dict[str, MakeVariant] = {RESEARCH: partial(research, work)}
    return variants | {f"ours, {precision}": partial(ours, work, precision) for precision in PRECISIONS}


# --- research style -------------------------------------------------------------------------------------------


def research_mask(work: Work) -> Callable[[], object]:
    forgotten, _ = work.forgotten_and_retained(AUGMENTATION)
    return partial(peer.find_mask, research_model(work.size), forgotten, work.size.batch_size)


def research_epoch(work: Work) -> Callable[[], object]:
    model = research_model(work.size)
    mask = {name: (torch.rand_like(weight) < 0.5).float() for name, weight in model.named_parameters()}
    sets = work.forgotten_and_retained(AUGMENTATION)
    optimizer = peer.sgd(model, RandomLabel().learning_rate)
    return partial(peer.unlearning_epoch, model, optimizer, mask, *sets, NUM_CLASSES, work.size.batch_size)


def research_prediction(work: Work) -> Callable[[], object]:
    model = research_model(work.size)
    parts = [*work.forgotten_and_retained("none"), work.images("val", "none"), work.images("test", "none")]
    batches = [peer.loader(part, work.size.batch_size, shuffle=False) for part in parts]
    return lambda: [peer.probabilities(model, part) for part in batches]


# --- ours -----------------------------------------------------------------------------------------------------


def job_of(work: Work, precision: str) -> Unlearning[RandomLabel]:
    """One epoch of unlearning on a fresh model, with the hard mask."""
    config = ModelConfig(width=work.size.width, precision=precision)
    settings = RandomLabel(epochs=1, batch_size=work.size.batch_size)
    model = build_model(config, NUM_CLASSES, 0).to(DEVICE)
    augmenter = Augmenter(AUGMENTATION, AugmentationConfig(), 0)
    subsets = work.data.forget_and_retain(*work.forget_and_retain)
    return Unlearning(model, model, work.data, *subsets, settings, augmenter, Seeds.all(0))


def our_mask(work: Work, precision: str) -> Callable[[], object]:
    job = job_of(work, precision)

    def act() -> Mask:
        with reproducible():
            scores = saliency(job.model, job.data, job.forget, job.augmenter, work.size.batch_size)
            return top_fraction(scores, SaliencyConfig().fraction)

    return act


def our_epoch(work: Work, precision: str) -> Callable[[], object]:
    job = job_of(work, precision)
    job.mask, job.mask_mode = [torch.rand_like(weight) < 0.5 for weight in job.model.parameters()], "hard"

    def act() -> None:
        with reproducible():
            random_label(job)

    return act


def our_prediction(work: Work, precision: str) -> Callable[[], dict[str, np.ndarray]]:
    job = job_of(work, precision)

    def act() -> dict[str, np.ndarray]:
        with reproducible():
            return predict(job.model, job.data)

    return act
