"""Which forgotten images stay most recognisable, and their pictures on the page."""

import base64
import hashlib
import io
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from salun_grid.analysis.attacks import Case
from salun_grid.analysis.cells import Cell, Group
from salun_grid.analysis.metrics import Predictions
from salun_grid.analysis.worst import Recogniser, train_images
from salun_grid.records.digits import read_digits
from salun_grid.records.errors import InputError
from tests.support.folders import make_grid, make_predictions, make_run
from tests.support.html_page import page_of


def fingerprint_of(file: Path) -> str:
    return f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"


def cell(protocol: str, method: str, forget: str = "random:0.1") -> Cell:
    """A row of `salun` under the names of a protocol and a variant."""
    group = Group(protocol, "bloodmnist", 64, "resnet18", "none", forget)
    return Cell(make_run(forget=forget, forget_rule=forget.partition(":")[0]), group, method)


@pytest.mark.usefixtures("blank_figures", "few_draws")
def test_pictures_are_those_of_the_file_with_the_studys_fingerprint(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    file, other = tmp_path / "mine.npz", tmp_path / "other.npz"
    np.savez(file, train_images=images)
    np.savez(other, train_images=images[::-1])
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    runs = make_grid(dataset_fingerprint=f"sha256:{digest}")
    text, _ = page_of(tmp_path / "out", runs, images=[other, file])
    encoded = re.findall(r"data:image/png;base64,([^\"]+)", text)
    captions = re.findall(r"<figcaption>([+-][\d.]+), train (\d+), class \d+, n = (\d+)", text)
    assert len(encoded) == len(captions) == 2 * 3  # `original` and `salun`; three images are forgotten
    for data, (_, index, _) in zip(encoded, captions, strict=True):
        pixels = imread(io.BytesIO(base64.b64decode(data)))[..., :3]
        np.testing.assert_array_equal(np.rint(255 * pixels), images[int(index)])


@pytest.mark.usefixtures("blank_figures", "few_draws")
def test_without_the_file_the_images_are_named_by_index(tmp_path: Path) -> None:
    _, parsed = page_of(tmp_path, make_grid())
    assert "img" not in {tag for tag, _ in parsed.tags}
    assert sum("give the file by --images" in text for text in parsed.texts["p"]) == 2


@pytest.mark.usefixtures("blank_figures", "few_draws")
@pytest.mark.parametrize("content", [None, b"no npz"], ids=["missing", "broken"])
def test_a_bad_image_file_is_one_sentence(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "images.npz"
    if content:
        file.write_bytes(content)
    runs = make_grid(dataset_fingerprint=f"sha256:{hashlib.sha256(content or b'').hexdigest()}")
    with pytest.raises(InputError, match=r"images\.npz"):
        page_of(tmp_path / "out", runs, images=[file])


BAD_IMAGES = {
    "floats": (np.zeros((4, 8, 8)), "train_images must be uint8"),
    "not square": (np.zeros((4, 8, 9), dtype=np.uint8), "train_images must be uint8"),
    "objects": (np.array([{}, {}]), "pickled Python objects"),
}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_images_are_read_by_the_rules_of_the_training(name: str, tmp_path: Path) -> None:
    images, because = BAD_IMAGES[name]
    file = tmp_path / "images.npz"
    np.savez(file, train_images=images)
    with pytest.raises(InputError, match=because) as raised:
        train_images(fingerprint_of(file), "mine", 8, [file])
    assert str(file) in str(raised.value)


def test_grey_images_have_a_channel_and_those_of_another_file_are_not_shown(tmp_path: Path) -> None:
    images = np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8)
    file = tmp_path / "images.npz"
    np.savez(file, train_images=images)
    found = train_images(fingerprint_of(file), "mine", 8, [file])
    assert found is not None
    np.testing.assert_array_equal(found, images[..., None])
    assert train_images("sha256:0", "mine", 8, [file]) is None


def test_pictures_of_medmnist_come_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.zeros((4, 64, 64), dtype=np.uint8)
    file = tmp_path / "bloodmnist_64.npz"
    np.savez(file, train_images=images)
    monkeypatch.setenv("MEDMNIST_ROOT", str(tmp_path))
    found = train_images(fingerprint_of(file), "bloodmnist", 64, [])
    assert found is not None and found.shape == (4, 64, 64, 1)
    assert train_images(fingerprint_of(file), "bloodmnist", 28, []) is None


def test_the_digits_are_those_that_their_study_trains_on() -> None:
    fingerprint, images, _ = read_digits()
    found = train_images(fingerprint, "digits", 8, [])
    assert found is not None
    np.testing.assert_array_equal(found, images["train"])
    assert train_images("sha256:0", "digits", 8, []) is None


def test_the_most_recognisable_image_is_the_one_of_which_the_model_is_surest_beyond_the_retrain() -> None:
    recogniser = Recogniser()
    retrain = make_predictions(0)
    surer = {split: logits.copy() for split, logits in retrain.logits.items()}
    image = int(np.flatnonzero(retrain.forgotten)[1])
    label = int(retrain.labels["train"][image])
    surer["train"][image, label] += 5.0
    model = Predictions(surer, retrain.labels, retrain.forgotten)
    recogniser.add(cell("paper", "salun"), Case(model, retrain))
    ((_, (first, *others)),) = recogniser.worst(3).items()
    assert (first.index, first.label, first.n) == (image, label, 1)
    assert first.excess == pytest.approx(5.0, abs=1e-5)
    assert all(other.excess == 0.0 for other in others)


def test_variants_and_protocols_are_not_averaged() -> None:
    recogniser = Recogniser()
    retrain = make_predictions(0)
    for i, (protocol, method) in enumerate((("paper", "salun"), ("paper", 'salun {"epochs": 9}'), ("strict", "salun"))):
        logits = retrain.logits["train"].copy()
        logits[np.arange(len(logits)), retrain.labels["train"]] += i
        model = Predictions(retrain.logits | {"train": logits}, retrain.labels, retrain.forgotten)
        recogniser.add(cell(protocol, method), Case(model, retrain))
    found = {key[-2:]: (worst.excess, worst.n) for key, (worst,) in recogniser.worst(1).items()}
    assert {n for _, n in found.values()} == {1}
    assert [round(excess, 4) for excess, _ in found.values()] == [0.0, 1.0, 2.0]


def test_draws_of_one_kind_are_averaged_and_other_forget_sets_are_not() -> None:
    recogniser = Recogniser()
    retrain = make_predictions(0)
    forgets = ("random:0.1", "random:0.5", "class:1", "group:0.1", "group:0.2", "group:1#0011", "ids:a#0011")
    for i, forget in enumerate(forgets):
        logits = retrain.logits["train"].copy()
        logits[np.arange(len(logits)), retrain.labels["train"]] += i
        model = Predictions(retrain.logits | {"train": logits}, retrain.labels, retrain.forgotten)
        recogniser.add(cell("paper", "salun", forget), Case(model, retrain))
    found = {key[3]: (round(worst.excess, 4), worst.n) for key, (worst,) in recogniser.worst(1).items()}
    assert found == {
        "random": (0.5, 2),
        "class:1": (2.0, 1),
        "group": (3.5, 2),
        "group:1#0011": (5.0, 1),
        "ids:a#0011": (6.0, 1),
    }
