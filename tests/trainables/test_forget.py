"""Forget sets: size, membership, and what a seed promises."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from salun_grid.records.errors import InputError
from salun_grid.trainables.data import DatasetInfo
from salun_grid.trainables.forget import (
    FORGET_RULES,
    check_forget_rate,
    forget_count,
    parse_rule,
    retain_set,
    uniform_forget_set,
)
from tests.support.oracles import stream


@pytest.mark.parametrize("rate", [1e-9, 0.1, 0.5, 1 - 1e-9])
def test_a_rate_inside_the_bounds_is_returned(rate):
    assert check_forget_rate(rate) == rate


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, 1.1, 10, float("nan"), float("inf")])
def test_a_rate_outside_the_bounds_is_an_input_error(rate):
    with pytest.raises(InputError, match="forget rate"):
        check_forget_rate(rate)


@pytest.mark.parametrize(
    ("rate", "num_train", "count"),
    [(0.25, 10, 2), (0.75, 10, 8), (0.5, 5, 2), (0.5, 7, 4), (0.5, 9, 4), (0.125, 20, 2), (0.375, 20, 8)],
)
def test_halves_round_to_even(rate, num_train, count):
    assert Fraction(rate) * num_train % 1 == Fraction(1, 2)
    assert forget_count(rate, num_train) == count


@pytest.mark.parametrize(
    ("rate", "num_train", "count"),
    [(0.1, 89996, 9000), (0.5, 34561, 17280), (0.1, 11959, 1196), (0.5, 11959, 5980), (0.3, 10, 3)],
)
def test_counts_of_the_papers_data_sets(rate, num_train, count):
    assert forget_count(rate, num_train) == count


def test_an_empty_forget_set_is_an_input_error():
    with pytest.raises(InputError, match="empty forget set"):
        forget_count(0.04, 10)
    with pytest.raises(InputError, match="empty forget set"):
        uniform_forget_set(0.05, 10, seed=0)


def test_an_empty_retain_set_is_an_input_error():
    with pytest.raises(InputError, match="empty retain set"):
        forget_count(0.96, 10)
    with pytest.raises(InputError, match="empty retain set"):
        uniform_forget_set(0.99, 10, seed=0)


def test_the_draw_is_one_permutation_cut():
    """The documented draw: numpy's default generator, seeded by the stream (seed, "forget")."""
    for seed in (0, 5):
        order = np.random.default_rng(stream(seed, "forget").initial_seed()).permutation(97)
        assert uniform_forget_set(0.3, 97, seed).tolist() == sorted(order.tolist()[:29])


def test_the_same_seed_gives_the_same_set_and_another_seed_another():
    first = uniform_forget_set(0.2, 500, seed=1)
    assert np.array_equal(first, uniform_forget_set(0.2, 500, seed=1))
    assert not np.array_equal(first, uniform_forget_set(0.2, 500, seed=2))
    assert first.dtype == np.int64


def test_sets_of_rising_rates_are_nested():
    sets = [set(uniform_forget_set(rate, 200, seed=4).tolist()) for rate in (0.1, 0.11, 0.3, 0.5, 0.9)]
    assert [len(s) for s in sets] == [20, 22, 60, 100, 180]
    assert all(small < large for small, large in pairwise(sets))


@pytest.mark.parametrize(("rate", "num_train"), [(0.1, 50), (0.5, 51), (0.98, 50), (0.5, 2)])
def test_forget_and_retain_split_the_train_set(rate, num_train):
    forget = uniform_forget_set(rate, num_train, seed=0)
    retain = retain_set(forget, num_train)
    assert retain.dtype == np.int64
    assert list(forget) == sorted(set(forget.tolist()))
    assert list(retain) == [i for i in range(num_train) if i not in forget.tolist()]
    assert sorted([*forget, *retain]) == list(range(num_train))


def test_every_image_is_forgotten_about_as_often():
    """400 draws of 10 from 50: each index comes about 80 times (standard deviation 8)."""
    times = np.zeros(50)
    for seed in range(400):
        times[uniform_forget_set(0.2, 50, seed)] += 1
    assert times.sum() == 4000
    assert times.min() > 80 - 4 * 8 and times.max() < 80 + 4 * 8


def test_golden_indices():
    """A guard: published forget sets must stay what they were."""
    assert uniform_forget_set(0.1, 100, seed=0).tolist() == [11, 12, 20, 32, 49, 55, 72, 77, 86, 92]
    assert uniform_forget_set(0.5, 12, seed=3).tolist() == [1, 3, 5, 8, 10, 11]
    assert uniform_forget_set(0.1, 11959, seed=0)[:5].tolist() == [0, 27, 36, 45, 51]


# --- what holds for every rule ------------------------------------------------------------------------------

LABELS = np.random.default_rng(0).integers(0, 5, 200)
COUNTS = tuple(np.bincount(LABELS).tolist())
DATA = DatasetInfo("d", "d.npz", "sha256:0", 5, 28, 1, {"train": 200, "val": 10, "test": 10}, COUNTS)


@pytest.mark.parametrize("name", FORGET_RULES)
class TestRule:
    def test_its_example_and_its_label_name_it(self, name):
        rule = parse_rule(FORGET_RULES[name].example)
        assert type(rule) is FORGET_RULES[name] and rule.label.startswith(f"{name}:")
        assert parse_rule(rule.label) == rule
        assert FORGET_RULES[name].__doc__

    def test_indices_are_as_many_as_it_counts_and_ascend(self, name):
        rule = parse_rule(FORGET_RULES[name].example)
        indices = rule.indices(LABELS, seed=1)
        assert len(indices) == rule.count(DATA) > 0
        assert indices.dtype == np.int64 and np.all(np.diff(indices) > 0) and indices[0] >= 0 and indices[-1] < 200

    def test_the_seed_decides_if_and_only_if_it_says_so(self, name):
        rule = parse_rule(FORGET_RULES[name].example)
        first, again, other = (rule.indices(LABELS, seed) for seed in (1, 1, 2))
        assert np.array_equal(first, again)
        assert np.array_equal(first, other) != rule.seeded

    @pytest.mark.parametrize("text", ["", "x", "-1", "nan", "1e999", "0x3", "³", "1 ", "9" * 500, "\x1b"])
    def test_another_parameter_is_refused_in_one_line(self, name, text):
        with pytest.raises(InputError) as error:
            parse_rule(f"{name}:{text}").count(DATA)
        assert str(error.value).isprintable() and len(str(error.value)) < 300


def test_an_unknown_rule_names_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'random'"):
        parse_rule("ramdon:0.1")
    with pytest.raises(InputError, match=r"needs a parameter, as in random:0\.1"):
        parse_rule("random")


# --- class:K ------------------------------------------------------------------------------------------------


def test_a_class_is_every_train_image_with_its_label():
    for k in range(5):
        wanted = [i for i, label in enumerate(LABELS.tolist()) if label == k]
        assert parse_rule(f"class:{k}").indices(LABELS, seed=0).tolist() == wanted
        assert parse_rule(f"class:{k}").count(DATA) == len(wanted)


def test_a_class_that_is_not_there_is_an_input_error():
    with pytest.raises(InputError, match="has the classes 0 to 4; the forget set class:5"):
        parse_rule("class:5").count(DATA)
    with pytest.raises(InputError, match="class:4 has no train image"):
        parse_rule("class:4").count(replace(DATA, class_counts=(50, 50, 50, 50, 0)))
    with pytest.raises(InputError, match="class:0 has every train image"):
        parse_rule("class:0").count(replace(DATA, class_counts=(200, 0, 0, 0, 0)))
