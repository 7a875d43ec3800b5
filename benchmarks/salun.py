"""Benchmarks of SalUn, end to end and in parts, against research-style code."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import peer
from benchmarks.engine import BATCH, GPU, NUM_CLASSES, on_the_device, pixels, reproducible
from benchmarks.measure import DEVICE, Result, interleaved
from salun_grid.analysis.metrics import Attack, Predictions, evaluate
from salun_grid.trainables.architectures import build_model
from salun_grid.trainables.methods import METHODS, Unlearning, unlearn
from salun_grid.trainables.methods.random_label import RandomLabel
from salun_grid.trainables.optimizers import apply_mask, sgd
from salun_grid.trainables.prediction import predict
from salun_grid.trainables.protocol import MASK_MODES, AugmentationConfig, ModelConfig, SaliencyConfig
from salun_grid.trainables.resident import Augmenter
from salun_grid.trainables.saliency import top_fraction, top_fractions
from salun_grid.trainables.seeds import Seeds


def salun(repetitions: int) -> list[Result]:
    return [whole_salun(repetitions), masks(repetitions), steps(max(repetitions, 9)), attack(repetitions)]


def whole_salun(repetitions: int) -> Result:
    """Time mask, two epochs of unlearning 10 %, and evaluation of every split."""
    stem, size, epochs = ("3x3", 64, 2) if GPU else ("imagenet", 28, 2)
    counts = {"train": 12_000, "val": 1_700, "test": 3_400} if GPU else {"train": 600, "val": 85, "test": 170}
    parts = {split: pixels(count, size, seed) for seed, (split, count) in enumerate(counts.items())}
    forget, retain = np.arange(counts["train"] // 10), np.arange(counts["train"] // 10, counts["train"])
    data = on_the_device(parts)
    images, labels = parts["train"]
    change = peer.transform("default", size)
    forgotten = peer.Images(images[forget], labels[forget], change)
    retained = peer.Images(images[retain], labels[retain], change)
    plain = peer.transform("none", size)
    evaluated = {
        "forget": peer.Images(images[forget], labels[forget], plain),
        "retain": peer.Images(images[retain], labels[retain], plain),
        **{split: peer.Images(*parts[split], plain) for split in ("val", "test")},
    }

    def reference() -> None:
        model = peer.build(stem, NUM_CLASSES)
        peer.unlearn(model, forgotten, retained, NUM_CLASSES, epochs, BATCH)
        peer.evaluate(model, evaluated, BATCH)

    def ours(precision: str) -> None:
        config = ModelConfig(stem=stem, precision=precision)
        settings = RandomLabel(epochs=epochs, batch_size=BATCH)
        model = build_model(config, NUM_CLASSES, 0).to(DEVICE)
        augmenter = Augmenter("default", AugmentationConfig(), 0)
        subsets = data.forget_and_retain(torch.from_numpy(forget), torch.from_numpy(retain))
        job = Unlearning(model, model, data, *subsets, settings, augmenter, Seeds.all(0))
        everything = {split: part[1] for split, part in parts.items()}
        with reproducible():
            unlearn(METHODS["salun"], job, SaliencyConfig())
            logits = predict(model, data)
        evaluate(Predictions(logits, everything, np.isin(np.arange(counts["train"]), forget)), Attack())

    variants: dict[str, Callable[[], object]] = {
        "research style": reference,
        "ours, fp32": partial(ours, "fp32"),
        "ours, bf16": partial(ours, "bf16"),
    }
    case = f"SalUn from mask to metrics, {stem} stem, {size} px, {counts['train']:,} images, {epochs} epochs"
    return Result(case, "runs", 1, interleaved(variants, repetitions))


def with_gradients() -> nn.Module:
    """A ResNet-18 whose weights have gradients."""
    model = build_model(ModelConfig(), NUM_CLASSES, 0).to(DEVICE)
    for weight in model.parameters():
        weight.grad = torch.randn_like(weight) * 1e-3
    return model


def scores_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: weight.grad.abs() for name, weight in model.named_parameters() if weight.grad is not None}


def masks(repetitions: int) -> Result:
    """Time ten masks of 11 million saliencies."""
    scores = scores_of(with_gradients())
    variants: dict[str, Callable[[], object]] = {
        "two sorts per threshold": lambda: list(peer.masks(scores)),
        "ours, one selection": partial(top_fractions, list(scores.values()), peer.THRESHOLDS),
    }
    return Result("ten masks of ResNet-18", "masks", len(peer.THRESHOLDS), interleaved(variants, repetitions))


def steps(repetitions: int) -> Result:
    """Time plain and masked SGD steps on ResNet-18's 11 million weights, with cold caches as after a backward pass."""
    plain, theirs = with_gradients(), with_gradients()
    scores = scores_of(plain)
    mask = top_fraction(list(scores.values()), 0.5)
    kept = {name: part.float() for name, part in zip(scores, mask, strict=True)}
    ours: dict[str, torch.optim.Optimizer] = {}
    for mode in MASK_MODES:
        ours[mode] = sgd(with_gradients(), 0.013, momentum=0.9, weight_decay=5e-4)
        apply_mask(ours[mode], mask, mode)
    variants: dict[str, Callable[[], object]] = {
        "plain": sgd(plain, 0.013, momentum=0.9, weight_decay=5e-4).step,
        "hard, by restoring": partial(peer.masked_step, theirs, peer.sgd(theirs, 0.013), kept),
        **{f"{mode}, ours": optimizer.step for mode, optimizer in ours.items()},
    }
    flush = torch.zeros(1 if GPU else 120_000_000, device=DEVICE)
    seconds = interleaved(variants, repetitions, before=partial(flush.add_, 1))
    return Result("a step of SGD on ResNet-18's weights", "steps", 1, seconds)


def attack(repetitions: int) -> Result:
    """Time the membership inference attack on 2,000 members and as many non-members."""
    variants = attack_ways({"train": 2_500, "val": 2_000, "test": 2_000}, num_forgotten=500)
    return Result("membership attack, 4,000 images", "attacks", 1, interleaved(variants, repetitions))


def attack_ways(counts: dict[str, int], num_forgotten: int) -> dict[str, Callable[[], object]]:
    """Variants of the membership inference attack on random logits; the first train images are forgotten."""
    random = np.random.default_rng(0)
    logits = {split: random.normal(0, 3, (count, NUM_CLASSES)).astype(np.float32) for split, count in counts.items()}
    labels = {split: random.integers(0, NUM_CLASSES, count) for split, count in counts.items()}
    predictions = Predictions(logits, labels, np.arange(counts["train"]) < num_forgotten)
    probability = {split: np.asarray(torch.softmax(torch.from_numpy(part), 1)) for split, part in logits.items()}
    forget, retain = slice(num_forgotten), slice(num_forgotten, None)
    sets = {"forget": ("train", forget), "retain": ("train", retain), "test": ("test", slice(None))}

    def five() -> None:
        scores = {
            name: peer.features(probability[split][part], labels[split][part]) for name, (split, part) in sets.items()
        }
        peer.attacks(scores)

    return {"an SVC for each of 5 features": five, "ours, one": lambda: evaluate(predictions, Attack())}
