"""Studies: built in, from a file, and changed on the command line."""

from pathlib import Path

import pytest

from salun_grid.grid.plan import make_plan
from salun_grid.grid.specs import CONTROLS
from salun_grid.grid.study import STUDIES, Study, checked, narrowed
from salun_grid.grid.study_file import find_study
from salun_grid.records.errors import InputError
from salun_grid.records.question import Question
from salun_grid.trainables.methods import METHODS

PAPER_TOML = """
name = "mine"
datasets = ["bloodmnist"]
forget_rates = [0.25]
seeds = [3, 4]

[protocol]
base = "strict"
image_size = 28

[protocol.training]
epochs = 5
"""


def written(tmp_path: Path, text: str) -> Study:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return find_study(str(path))


@pytest.mark.parametrize("name", STUDIES)
def test_built_in_studies_are_valid(name: str) -> None:
    assert checked(STUDIES[name]) == STUDIES[name]
    assert set(CONTROLS) < set(STUDIES[name].methods)


def test_a_file_changes_what_it_names(tmp_path: Path) -> None:
    study = checked(written(tmp_path, PAPER_TOML))
    assert (study.name, study.datasets, study.forget_sets) == ("mine", ("bloodmnist",), ("random:0.25",))
    assert (study.seeds, study.augmentations) == ((3, 4), STUDIES["paper"].augmentations)
    assert (study.protocol.name, study.protocol.image_size, study.protocol.training.epochs) == ("mine", 28, 5)
    assert study.protocol.saliency.mode == "hard"


def test_a_file_declares_its_question(tmp_path: Path) -> None:
    text = PAPER_TOML + "\n[question]\nattack = 'mia'\nmargin_points = 2.5\n"
    assert checked(written(tmp_path, text)).question == Question("mia", 2.5)
    assert checked(written(tmp_path, PAPER_TOML)).question == Question()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("datasets = 3", "datasets must be a list"),
        ("seeds = ['a']", "seeds must be whole numbers"),
        ("sedes = [1]", "Did you mean 'seeds'"),
        ("[protocol]\nbase = 'papre'", "Did you mean 'paper'"),
        ("[protocol.training]\nepoch = 3", "Did you mean 'training.epochs'"),
        ("[protocol.training]\nepochs = 'many'", "training.epochs must be a whole number"),
        ("protocol = 'paper'", "must be a table"),
        ("a = [", "not valid TOML"),
        ("[question]\nattack = 'acu'", "Did you mean 'auc'"),
        ("[question]\nmargin = 1.0", "Did you mean 'margin_points'"),
        ("[question]\nmargin_points = 0", "above 0 and at most 100 points"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        checked(written(tmp_path, text))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the study"):
        find_study(str(tmp_path / "none.toml"))


def test_options_narrow_each_axis_and_drop_repeats() -> None:
    study = narrowed(STUDIES["paper"], {"seeds": (5, 5, 6), "methods": ()}, ["training.epochs=7"])
    assert checked(study).seeds == (5, 6)
    assert checked(study).notes == ("seed 5 is given 2 times and counts once.",)
    assert study.methods == STUDIES["paper"].methods
    assert study.protocol.training.epochs == 7
    assert study.words == ("paper", "--set", "training.epochs=7")


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"forget_sets": ("random:1.0",)}, "forget rate must lie between 0 and 1"),
        ({"augmentations": ("defualt",)}, "Did you mean 'default'"),
        ({"methods": ("salum",)}, "Did you mean 'salun'"),
        ({"seeds": (-1,)}, "seed must be from 0"),
    ],
)
def test_a_bad_axis_is_refused(axes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        checked(narrowed(STUDIES["digits"], axes, []))


def test_what_was_given_on_the_command_line_is_named_by_words_and_axis_words() -> None:
    """So that the study's command goes on with all of it: seeds and rates in full, protocol fields as settings."""
    axes = {"seeds": (0, 2**31 - 1), "forget_sets": ("random:0.25",), "methods": (), "datasets": ("a b.npz",)}
    study = narrowed(STUDIES["digits"], axes, ["model.width=4"])
    assert study.words == ("digits", "--set", "model.width=4")
    given = ["--seed", "0", "--seed", "2147483647", "--forget", "random:0.25", "--dataset"]
    assert study.axis_words == (*given, "a b.npz")
    assert narrowed(STUDIES["digits"], {}, []).axis_words == ()


def test_the_study_of_all_methods_has_each_that_forgets_random_images(small_npz: Path) -> None:
    study = checked(narrowed(STUDIES["methods"], {"datasets": (str(small_npz),)}, ["image_size=0"]))
    assert set(study.methods) - set(CONTROLS) == {name for name, method in METHODS.items() if not method.forget_rules}
    assert len(study.methods) > 30 and study.seeds == (0, 1, 2, 3, 4)
    plan = make_plan(study)
    assert plan.num_cells == 2 * 5 * len(study.methods)
