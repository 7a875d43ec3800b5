"""The protocols' numbers, changing one field by name, and the range of every field."""

import json
from dataclasses import FrozenInstanceError, asdict, fields, is_dataclass, replace
from math import inf, nan

import pytest

from salun_grid.records.errors import InputError
from salun_grid.trainables.protocol import PROTOCOLS, Protocol, to_json
from salun_grid.trainables.settings import changed, settings_of, validated

PAPER = {
    "name": "paper",
    "image_size": 64,
    "model.stem": "3x3",
    "model.width": 64,
    "model.precision": "fp32",
    "model.pixel_mean": 0.5,
    "model.pixel_std": 0.5,
    "model.architecture": "resnet18",
    "training.epochs": 200,
    "training.batch_size": 256,
    "training.learning_rate": 0.1,
    "training.momentum": 0.9,
    "training.weight_decay": 5e-4,
    "training.milestones": (0.5, 0.75),
    "training.decay_factor": 0.1,
    "training.optimizer": "sgd",
    "training.schedule": "steps",
    "training.warmup_epochs": 0,
    "augmentation.crop_padding": 8 / 64,
    "augmentation.flip_probability": 0.5,
    "augmentation.randaugment_operations": 2,
    "augmentation.randaugment_magnitude": 9,
    "saliency.fraction": 0.5,
    "saliency.mode": "leaky",
    "unlearning.epochs": None,
    "unlearning.batch_size": None,
    "unlearning.learning_rate": None,
    "unlearning.momentum": None,
    "unlearning.weight_decay": None,
    "evaluation.mia_svc_c": 3.0,
    "evaluation.mia_non_members": "test",
    "evaluation.mia_members": "first",
}

# Another good value for each field, as text on a command line.
OTHER = {
    "name": ("mine", "mine"),
    "image_size": ("28", 28),
    "model.stem": ("imagenet", "imagenet"),
    "model.width": ("16", 16),
    "model.precision": ("bf16", "bf16"),
    "model.pixel_mean": ("0.25", 0.25),
    "model.pixel_std": ("1", 1.0),
    "model.architecture": ("vit_small", "vit_small"),
    "training.epochs": ("7", 7),
    "training.batch_size": ("32", 32),
    "training.learning_rate": ("1e-2", 0.01),
    "training.momentum": ("0", 0.0),
    "training.weight_decay": ("0.001", 0.001),
    "training.milestones": ("0.25,0.5,0.9", (0.25, 0.5, 0.9)),
    "training.decay_factor": ("0.5", 0.5),
    "training.optimizer": ("adamw", "adamw"),
    "training.schedule": ("cosine", "cosine"),
    "training.warmup_epochs": ("3", 3),
    "augmentation.crop_padding": ("0.25", 0.25),
    "augmentation.flip_probability": ("1", 1.0),
    "augmentation.randaugment_operations": ("3", 3),
    "augmentation.randaugment_magnitude": ("30", 30),
    "saliency.fraction": ("0.3", 0.3),
    "saliency.mode": ("hard", "hard"),
    "unlearning.epochs": ("1", 1),
    "unlearning.batch_size": ("2", 2),
    "unlearning.learning_rate": ("0.5", 0.5),
    "unlearning.momentum": ("0.99", 0.99),
    "unlearning.weight_decay": ("0", 0.0),
    "evaluation.mia_svc_c": ("10", 10.0),
    "evaluation.mia_non_members": ("val", "val"),
    "evaluation.mia_members": ("balanced", "balanced"),
}

BAD = {
    "image_size": [-1, 7, 513],
    "model.stem": ["5x5", ""],
    "model.width": [0, -64, 513],
    "model.precision": ["fp16", ""],
    "model.pixel_mean": [nan, inf],
    "model.pixel_std": [0.0, -0.5, inf],
    "training.epochs": [0, -1],
    "training.batch_size": [1, 0],
    "training.learning_rate": [0.0, -0.1, 100.0],
    "training.momentum": [-0.1, 1.0],
    "training.weight_decay": [-1e-4, 1.0],
    "training.milestones": [(0.75, 0.5), (0.0, 0.5), (0.5, 1.0), (nan,)],
    "training.decay_factor": [0.0, -0.1, 1.1],
    "training.optimizer": ["adam", ""],
    "training.schedule": ["step", ""],
    "training.warmup_epochs": [-1],
    "augmentation.crop_padding": [-0.1, 1.1],
    "augmentation.flip_probability": [-0.1, 1.1],
    "augmentation.randaugment_operations": [-1, 15],
    "augmentation.randaugment_magnitude": [-1, 31],
    "saliency.fraction": [0.0, -0.5, 1.1],
    "saliency.mode": ["soft", "Hard"],
    "unlearning.epochs": [0, -1],
    "unlearning.batch_size": [1, 0],
    "unlearning.learning_rate": [0.0, -0.1, 100.0],
    "unlearning.momentum": [-0.1, 1.0],
    "unlearning.weight_decay": [-1e-4, 1.0],
    "evaluation.mia_svc_c": [0.0, -3.0, inf],
    "evaluation.mia_non_members": ["train", ""],
    "evaluation.mia_members": ["last", ""],
}
FREE_TEXT = {"name", "model.architecture"}
KINDS = {each.name: each.kind for each in settings_of(Protocol)}
NUMBERS = [name for name, kind in KINDS.items() if kind in (int, float)]
FLOATS = [name for name, kind in KINDS.items() if kind is float]


def flat(protocol: Protocol) -> dict:
    out = {}
    for name, value in asdict(protocol).items():
        out |= {f"{name}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {name: value}
    return out


def with_field(dotted: str, value: object) -> Protocol:
    """The paper's protocol with one field replaced as it stands, right or wrong."""
    section, _, name = dotted.rpartition(".")
    paper = PROTOCOLS["paper"]
    if not section:
        return replace(paper, **{name: value})
    return replace(paper, **{section: replace(getattr(paper, section), **{name: value})})


def test_paper_is_the_design_pages_numbers():
    assert flat(PROTOCOLS["paper"]) == PAPER


def test_strict_differs_from_paper_in_four_fields():
    strict = flat(PROTOCOLS["strict"])
    assert {name: value for name, value in strict.items() if value != PAPER[name]} == {
        "name": "strict",
        "saliency.mode": "hard",
        "evaluation.mia_non_members": "val",
        "evaluation.mia_members": "balanced",
    }


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_is_valid_and_bears_its_name(name):
    assert validated(PROTOCOLS[name]) is PROTOCOLS[name]
    assert PROTOCOLS[name].name == name


def test_field_names_are_every_field_in_order():
    assert list(KINDS) == list(PAPER)


def test_every_field_has_its_cases():
    """Fails for a new field until it has another good value and, unless free text, a bad one."""
    assert set(OTHER) == set(KINDS)
    assert set(BAD) == set(KINDS) - FREE_TEXT
    assert not FREE_TEXT & set(NUMBERS)


@pytest.mark.parametrize("name", KINDS)
def test_changed_from_text_and_back(name):
    paper = PROTOCOLS["paper"]
    text, value = OTHER[name]
    new = changed(paper, name, text)
    assert flat(new) == {**PAPER, name: value}
    assert type(flat(new)[name]) is KINDS[name]
    assert validated(new) == new
    old = PAPER[name]
    old_text = ",".join(map(str, old)) if isinstance(old, tuple) else str(old)
    assert changed(new, name, old_text) == paper
    assert flat(paper) == PAPER


@pytest.mark.parametrize("name", [*NUMBERS, "training.milestones"])
@pytest.mark.parametrize("value", ["many", "1,x", "0x1", None, [[]]])
def test_changed_to_something_not_a_number_names_the_field(name, value):
    with pytest.raises(InputError, match=rf"^{name} must be "):
        changed(PROTOCOLS["paper"], name, value)


@pytest.mark.parametrize("name", [name for name in NUMBERS if name not in FLOATS])
@pytest.mark.parametrize("value", ["1.5", 1.5, True, "inf", "nan", inf, nan])
def test_changed_to_something_not_whole_names_the_field(name, value):
    with pytest.raises(InputError, match=rf"^{name} must be a whole number"):
        changed(PROTOCOLS["paper"], name, value)


@pytest.mark.parametrize(
    "name", ["epochs", "training", "training.", "training.epoch", "name.x", "a.b.c", "training.epochs.x", ""]
)
def test_an_unknown_field_is_named(name):
    with pytest.raises(InputError, match="unknown setting") as error:
        changed(PROTOCOLS["paper"], name, "1")
    assert repr(name) in str(error.value) and "`salun-grid settings` lists them" in str(error.value)


def test_an_unknown_field_suggests_the_nearest():
    with pytest.raises(InputError, match=r"Did you mean 'training\.epochs'"):
        changed(PROTOCOLS["paper"], "training.epoch", "1")


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in BAD for value in BAD[name]])
def test_validated_rejects_a_bad_value(name, value):
    with pytest.raises(InputError, match=rf"^{name} must be ") as error:
        validated(with_field(name, value))
    assert repr(value) in str(error.value)


@pytest.mark.parametrize("name", FLOATS)
def test_validated_rejects_nan(name):
    with pytest.raises(InputError, match=rf"^{name} must be "):
        validated(with_field(name, nan))


def test_nothing_can_be_assigned():
    for owner in (PROTOCOLS["paper"], *vars(PROTOCOLS["paper"]).values()):
        for field in fields(owner) if is_dataclass(owner) else ():
            with pytest.raises(FrozenInstanceError):
                setattr(owner, field.name, getattr(owner, field.name))
    assert len({PROTOCOLS["paper"], replace(PROTOCOLS["paper"])}) == 1


def test_json_is_canonical():
    text = to_json(PROTOCOLS["paper"])
    assert " " not in text
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    assert json.loads(text)["training"]["milestones"] == [0.5, 0.75]
