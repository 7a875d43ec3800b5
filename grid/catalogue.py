"""Catalogues as text: settings, methods, probes, architectures, datasets and forget rules."""

import inspect
from typing import Any

from salun_grid.trainables.architectures import ARCHITECTURES, count_macs, count_weights
from salun_grid.trainables.data import MEDMNIST_SIZES, SPLITS, dataset_names, describe
from salun_grid.trainables.forget import FORGET_RULES
from salun_grid.trainables.methods import METHODS, Method, PassCount
from salun_grid.trainables.probes import PROBES
from salun_grid.trainables.protocol import PROTOCOLS, ModelConfig, Protocol
from salun_grid.trainables.settings import Setting, settings_of, value_at

INDENT = "    "
FORGOTTEN = 0.1  # fraction of the train images at which costs are compared


def list_settings(protocol: str = "paper") -> str:
    """Every setting of a protocol: name, value, range, meaning and source."""
    found = PROTOCOLS[protocol]
    lines = [
        f"Settings of the protocol {protocol}; change one with --set NAME=VALUE, or under [protocol] in a study file."
    ]
    for each in settings_of(Protocol):
        lines += ["", f"{each.name} = {written(value_at(found, each.name))}", f"{INDENT}{described(each)}"]
    return "\n".join(lines)


def list_methods() -> str:
    """Each method: idea and paper, cost in passes, whether it needs D_r, and settings with defaults."""
    lines = [
        "Change a setting with --method NAME:FIELD=VALUE,…; mask.fraction and mask.mode apply SalUn's mask to any "
        "method that takes one."
    ]
    for name, method in METHODS.items():
        lines += ["", f"{name}: {method.idea} ({method.paper})", f"{INDENT}{cost_in_words(method)}"]
        lines += [
            f"{INDENT}{each.name} = {written(each.default)}: {each.allowed}" for each in settings_of(method.settings)
        ]
    return "\n".join(lines)


def list_architectures() -> str:
    """Each architecture: description, parameters, cost per image at two sizes, and recipe."""
    lines = ["Select one with --architecture NAME; --set training.… changes its recipe."]
    for name, found in ARCHITECTURES.items():
        config = ModelConfig(architecture=name)
        parameters = count_weights(config, 10)
        gmac = ", ".join(f"{count_macs(config, 10, side) / 1e9:.3g} at {side} px" for side in (32, 64))
        recipe = ", ".join(f"{key} {written(value)}" for key, value in found.recipe.items()) or "the protocol's"
        lines += ["", f"{name}: {found.what} ({found.source})"]
        lines += [f"{INDENT}{parameters / 1e6:.1f} million parameters; GMAC per image: {gmac}; training: {recipe}"]
    return "\n".join(lines)


def list_datasets() -> str:
    """Each dataset: images per split, classes, channels, and the published sizes."""
    lines = [
        "Select one with --dataset NAME, or give the path of an .npz file in MedMNIST's layout, as "
        "`salun-grid data import` makes of your own images."
    ]
    sizes = ", ".join(map(str, MEDMNIST_SIZES))
    for name in dataset_names():
        info = describe(name, 0)
        counts = " / ".join(f"{info.num_images[split]:,}" for split in SPLITS)
        colour = "grey" if info.num_channels == 1 else "colour"
        pixels = f"{info.image_size}" if name == "digits" else sizes
        lines += [f"{name}: {counts} train / val / test images, {info.num_classes} classes, {colour}, {pixels} px"]
    return "\n".join(lines)


def list_forget_rules() -> str:
    """Each forget rule: its syntax, and what it forgets."""
    lines = ['Select one with --forget RULE:PARAMETER, or several in a study file: forget_sets = ["random:0.1"].']
    for rule in FORGET_RULES.values():
        lines += ["", f"{rule.example}: {inspect.getdoc(rule)}".replace("\n", f"\n{INDENT}")]
    return "\n".join(lines)


def needs_retain(method: Method) -> bool:
    passes = method.passes(method.settings())
    return bool(passes.retain or passes.paired or passes.drawn or passes.forward_retain)


def epochs_of(method: Method) -> float:
    """The cost of a method in epochs when a fraction FORGOTTEN of 10,000 images is forgotten."""
    num_forget, num_train = round(FORGOTTEN * 10_000), 10_000
    passes, num_retain = method.passes(method.settings()), num_train - num_forget
    images = passes.images(num_forget, num_retain) + passes.forward_images(num_forget, num_retain, 0) / 3
    return (images + num_forget * method.masked) / num_train


def list_probes() -> str:
    """Each probe: idea and paper, cost, and settings with defaults."""
    lines = ["Select one with --probe NAME or --probe NAME:FIELD=VALUE,…; its results are in the table `measures`."]
    for name, probe in PROBES.items():
        passes = probe.passes(probe.settings())
        cost = f"{passes.forget:.3g} passes over D_f and {passes.retain:.3g} over D_r"
        lines += ["", f"{name}: {probe.idea} ({probe.paper})", f"{INDENT}{cost}"]
        lines += [
            f"{INDENT}{each.name} = {written(each.default)}: {described(each)}" for each in settings_of(probe.settings)
        ]
    return "\n".join(lines)


def cost_in_words(method: Method) -> str:
    """The cost as text: `needs D_r; 10 passes over D_f and 10 over D_r, and 1 over D_f for the mask`."""
    passes = method.passes(method.settings())
    work = f"{passes.forget:.3g} passes over D_f and {passes.retain:.3g} over D_r"
    need = "needs D_r" if needs_retain(method) else "needs only D_f"
    mask = ", and 1 over D_f for the mask" if method.masked else "" if method.takes_mask else "; takes no mask"
    paired = f", of which {passes.paired:.3g} paired with as many images of D_f" if passes.paired else ""
    drawn = f", and over {passes.drawn} images drawn from it" if passes.drawn else ""
    other = f", and over {passes.other} images from neither set" if passes.other else ""
    forward = forward_in_words(passes)
    only = f"; supports only the forget rule {' or '.join(method.forget_rules)}" if method.forget_rules else ""
    return f"{need}; {work}{paired}{drawn}{other}{forward}{mask}{only}"


def forward_in_words(passes: PassCount) -> str:
    """`, and forward-only 2 over D_f`, or ""."""
    counts = {
        "D_f": passes.forward_forget,
        "D_r": passes.forward_retain,
        "the validation images": passes.forward_validation,
    }
    found = [f"{count:.3g} over {place}" for place, count in counts.items() if count]
    return f", and forward-only {' and '.join(found)}" if found else ""


def described(setting: Setting) -> str:
    source = f" Source: {setting.source}." if setting.source else ""
    return f"{setting.allowed or 'text'}. {setting.doc}".strip() + source


def written(value: Any) -> str:
    """A value in command-line syntax."""
    if isinstance(value, tuple):
        return ",".join(f"{part:g}" for part in value)
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
