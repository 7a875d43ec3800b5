"""Benchmarks of batched masks, Fisher diagonals and influence against an equivalent loop over images."""

from collections.abc import Callable, Iterable
from functools import partial
from itertools import product

import torch
from torch import Tensor, nn

from benchmarks.engine import GPU, on_the_device, pixels
from benchmarks.measure import DEVICE, Result, interleaved
from salun_grid.trainables.architectures import build_model
from salun_grid.trainables.methods import Unlearning
from salun_grid.trainables.methods.gradients import mean_squared_gradient
from salun_grid.trainables.methods.influence import Influence, curvature, sample
from salun_grid.trainables.protocol import STEMS, AugmentationConfig, ModelConfig
from salun_grid.trainables.resident import Augmenter, Subset
from salun_grid.trainables.saliency import saliency
from salun_grid.trainables.seeds import Seeds

SIZE = 64 if GPU else 28
NUM_IMAGES = 512 if GPU else 64
TOLERANCE = 1e-3  # relative to the largest value; float32 sums differ by order

Values = list[Tensor]


def importance(repetitions: int) -> list[Result]:
    """Time each quantity in both variants. Raises RuntimeError if they differ."""
    results = []
    for stem, (name, (ours, by_loop)) in product(STEMS, QUANTITIES.items()):
        job = job_of(stem)
        check_equal(name, ours(job), by_loop(job))
        variants: dict[str, Callable[[], object]] = {
            "image by image": partial(by_loop, job),
            "ours, in batches": partial(ours, job),
        }
        results.append(
            Result(f"{name}, {stem} stem, {SIZE} px", "images", NUM_IMAGES, interleaved(variants, repetitions))
        )
    return results


def job_of(stem: str) -> Unlearning:
    """A job whose forget and retain sets have NUM_IMAGES images each."""
    data = on_the_device(dict.fromkeys(("train", "val", "test"), pixels(2 * NUM_IMAGES, SIZE)))
    model = build_model(ModelConfig(stem=stem), data.num_classes, 0).to(DEVICE).eval()
    indices = torch.arange(2 * NUM_IMAGES)
    subsets = data.forget_and_retain(indices[:NUM_IMAGES], indices[NUM_IMAGES:])
    settings, augmenter = Influence(samples=NUM_IMAGES), Augmenter("none", AugmentationConfig(), 0)
    return Unlearning(model, model, data, *subsets, settings, augmenter, Seeds.all(0))


def check_equal(name: str, ours: Values, by_loop: Values) -> None:
    for mine, wanted in zip(ours, by_loop, strict=True):
        if (mine - wanted).abs().max() > TOLERANCE * wanted.abs().max():
            raise RuntimeError(f"{name}: the batches and the loop differ.")


def gradients_by_loop(job: Unlearning, subset: Subset) -> list[Values]:
    """Per-image gradients, one backward pass each."""
    weights, found = list(job.model.parameters()), []
    for index, label in zip(subset.indices, subset.labels, strict=True):
        logits = job.model(job.data.images["train"][index : index + 1].permute(0, 3, 1, 2))
        found.append(list(torch.autograd.grad(nn.functional.cross_entropy(logits, label[None]), weights)))
    return found


# --- ours, and by a loop ---------------------------------------------------------------------------------------


def mask_of(job: Unlearning) -> Values:
    return saliency(job.model, job.data, job.forget, job.augmenter, NUM_IMAGES)


def mask_by_loop(job: Unlearning) -> Values:
    return [torch.stack(parts).mean(0).abs() for parts in zip(*gradients_by_loop(job, job.forget), strict=True)]


def fisher_of(job: Unlearning) -> Values:
    return mean_squared_gradient(job, job.forget)


def fisher_by_loop(job: Unlearning) -> Values:
    return [torch.stack(parts).square().mean(0) for parts in zip(*gradients_by_loop(job, job.forget), strict=True)]


def influence_of(job: Unlearning) -> Values:
    """The step of `influence`, with the weights in place of the gradient difference."""
    step = [weight.detach() for weight in job.model.parameters()]
    first, correction = curvature(job, step)
    return [part - correction * gradient for part, gradient in zip(step, first, strict=True)]


def influence_by_loop(job: Unlearning) -> Values:
    """The WoodFisher recursion on full vectors, one image at a time."""
    k = as_vector(job.model.parameters()).detach()
    o, *others = [as_vector(parts) for parts in gradients_by_loop(job, sample(job))]
    for g in others:
        weight = 1 / (1 + len(others) + o @ g)
        k, o = k - weight * (k @ g) * o, o - weight * (o @ g) * o
    parts = k.split([weight.numel() for weight in job.model.parameters()])
    return [part.view_as(weight) for part, weight in zip(parts, job.model.parameters(), strict=True)]


def as_vector(parts: Iterable[Tensor]) -> Tensor:
    return torch.cat([part.flatten() for part in parts])


QUANTITIES: dict[str, tuple[Callable[[Unlearning], Values], Callable[[Unlearning], Values]]] = {
    "saliency mask": (mask_of, mask_by_loop),
    "Fisher diagonal": (fisher_of, fisher_by_loop),
    "influence": (influence_of, influence_by_loop),
}
