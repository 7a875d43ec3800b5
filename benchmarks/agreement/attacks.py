"""Methods that attack D_f: boundary shrink and expand (Chen et al. 2023), AMUN (Ebrahimpour-Boroojeny et al. 2025)."""

from dataclasses import replace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from benchmarks.agreement.cell import BATCH, Cell, Images, make_cell, passes_of, prepared
from benchmarks.agreement.comparison import LOADERS, Comparison, Measured, drawing, farthest, weights_moved
from benchmarks.agreement.official import Official
from salun_grid.trainables.methods.amun import attacked, nearest_wrong
from salun_grid.trainables.methods.unsir import learned_noise, pixel_config

EPOCHS = 10  # as in the authors' code; its other settings equal our defaults
BOUNDARY = "https://github.com/TY-LEE-KR/Boundary-Unlearning-Code"
UNUSED = {"path": "", "evaluate": False, "device": "cpu"}


def boundary_module(official: Official) -> Any:
    """The authors' module, without the final evaluation and saving of its two functions."""
    official.stand_in("trainer", "utils")
    module = official.module("boundary_unlearning")
    module.eval = lambda **_: (0.0, 0.0)
    module.utils.get_forget_loader = lambda *_: (None, None)
    module.loss_picker = lambda _: nn.CrossEntropyLoss()
    module.optimizer_picker = lambda _, weights, **settings: torch.optim.SGD(weights, **settings)
    return module


def boundary_shrink(official: Official, cell: Cell) -> list[Measured]:
    variant, module = f"boundary_shrink:batch_size={BATCH}", boundary_module(official)
    loader = prepared(cell.job(variant), cell.forget, range(EPOCHS))
    attack = module.FGSM

    def within_pixels(model: nn.Module, bound: float, _: bool, *rest: Any) -> Any:
        return attack(model, bound, False, *rest)

    with patch.object(torch, "save"), patch.object(module, "FGSM", within_pixels):
        theirs = module.boundary_shrink(cell.copy(), loader, None, None, None, **UNUSED)
    return [weights_moved(cell, cell.unlearned(variant), theirs)]


class Split(nn.Module):
    """Adapter of our classifier to the authors' interface: `features`, then `classifier`."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.classifier = model, model.fc
        self.features = Features(model)


class Features(nn.Module):
    """Maps images to the last layer's input."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        pixels = (images - self.model.pixel_mean) / self.model.pixel_std
        return self.model.features(pixels.contiguous(memory_format=self.model.memory_format))

    def parameters(self, recurse: bool = True) -> Any:
        return (weight for name, weight in self.model.named_parameters(recurse=recurse) if not name.startswith("fc."))


def boundary_expand(official: Official, cell: Cell) -> list[Measured]:
    """Compare with our initial weights of the extra class given to the authors' code."""
    variant, module = f"boundary_expand:batch_size={BATCH}", boundary_module(official)
    job = cell.job(variant)
    fc: Any = job.model.fc
    row = torch.randn(1, fc.in_features, generator=job.generator("boundary_expand", "extra class"))

    def initialised(layer: nn.Linear) -> None:
        with torch.no_grad():
            layer.weight.copy_(row * (2 / (layer.in_features + layer.out_features)) ** 0.5)
            layer.bias.zero_()

    loader = prepared(job, cell.forget, range(EPOCHS))
    with patch.object(torch, "save"), patch.object(module, "w_init", initialised):
        pruned = module.boundary_expanding(Split(cell.copy()), loader, None, None, None, None, "sgd", **UNUSED)
    theirs = pruned[0].model
    theirs.fc = pruned[1]
    return [weights_moved(cell, cell.unlearned(variant), theirs)]


def ninety_six_features() -> Cell:
    """A cell with 96 features, the number hard-coded in the authors' code."""
    return make_cell(width=12)


# --- AMUN ---------------------------------------------------------------------------------------------------


def amun(official: Official, cell: Cell) -> list[Measured]:
    """Compare the adversarial images and their labels; the rest of the method is finetuning on them."""
    images, model = Images(cell, cell.forget), cell.copy().eval()
    ours = attacked(model, images.images, images.targets, radius=0.04, steps=120)
    attack = official.module("pgdl2_modified").PGDL2(model, eps=0.04, steps=10)
    with patch.object(Tensor, "view", Tensor.reshape):
        found, _, labels, _, _ = attack.forward(images.images, images.targets)
    wrong = nearest_wrong(ours.logits, ours.labels)
    moved = farthest([ours.images - images.images], [found - images.images])
    return [
        Measured("perturbation of the images of D_f", moved),
        Measured("labels of the adversarial images", float((wrong != labels).double().mean())),
    ]


# --- UNSIR --------------------------------------------------------------------------------------------------

NOISE_STEPS = 6


def unsir(official: Official, cell: Cell) -> list[Measured]:
    """Compare the noise; the rest of the method, which is in a notebook, is training on it."""
    of_class = cell.data.subset("forget", torch.nonzero(cell.data.labels["train"] == 3).flatten())
    job = replace(cell, forget=of_class).job(f"unsir:batch_size={BATCH},noise_steps={NOISE_STEPS}")
    ours, _ = learned_noise(job, passes_of(job))
    module, model = official.module("unlearn"), cell.copy().eval()
    config = pixel_config(job.model)
    mean, std = config.pixel_mean, config.pixel_std
    start = torch.randn(BATCH, 3, 12, 12, generator=job.generator("unsir", "noise"))
    with drawing("randn", [start]):
        noise = module.UNSIR_noise(BATCH, 3, 12, 12)
    module.UNSIR_noise_train(noise, lambda images: model(images * std + mean), 3, NOISE_STEPS, BATCH, "cpu")
    return [Measured("change of the noise", farthest([(ours - mean) / std - start], [noise.noise.detach() - start]))]


LEFT_OUT = "the evaluation and the saving at its end are left out"
COMPARISONS = {
    "boundary_shrink": Comparison(
        BOUNDARY,
        ("boundary_unlearning.py", "adv_generator.py"),
        boundary_shrink,
        (LOADERS, LEFT_OUT, "the attack does not normalise images, since our models do"),
    ),
    "boundary_expand": Comparison(
        BOUNDARY,
        ("boundary_unlearning.py",),
        boundary_expand,
        (
            LOADERS,
            LEFT_OUT,
            "our network in the form of theirs, with 96 features",
            "`init_params` draws our extra class",
        ),
        cell=ninety_six_features,
    ),
    "unsir": Comparison(
        "https://github.com/vikram2000b/bad-teaching-unlearning",
        ("unlearn.py",),
        unsir,
        ("`torch.randn` returns the noise that ours begins with", "the model normalises the images, and not the data"),
        departures=("only the noise is compared: impairing and repairing are cells of a notebook",),
    ),
    "amun": Comparison(
        "https://github.com/Ali-E/AMUN",
        ("pgdl2_modified.py", "attack.py"),
        amun,
        (
            "`steps` is 10, so that the radius doubles as often as ours",
            "`Tensor.view` is `reshape`, since our gradients have the channels last",
        ),
        departures=(
            "the official radius doubles every 50 steps until no image is left; ours every 10, for a fixed number",
            "only the attack is compared: the finetuning is part of a script",
        ),
    ),
}
