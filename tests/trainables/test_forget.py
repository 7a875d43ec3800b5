"""Forget sets: size, membership, and what a seed promises."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from salun_grid.records.errors import InputError
from salun_grid.trainables.forget import (
    check_forget_rate,
    forget_count,
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
