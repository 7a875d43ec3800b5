"""Seconds fitted to rows, against weighted least squares by hand on rows whose coefficients are known."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from salun_grid.grid.fit import FOLDS, Measurement, fit, held_out, random_groups
from salun_grid.grid.work import Kind, Work, attack_pairs

KIND = Kind("fp32", "3x3")
# Seconds: a GMAC, a million values moved, a step, a million pixels cropped, RandAugmented, a step with RandAugment.
TRAINING = (0.05, 1e-3, 2e-3, 0.3, 0.6, 4e-3)
# Seconds: a GMAC, a million values moved, a pair of the attack, a job.
EVALUATION = (0.015, 4e-4, 7e-8, 0.02)
SIZES = (14, 28, 64)
WIDTHS = (8, 16, 64)
AUGMENTATIONS = ("none", "default", "default+ra")


def work_of(size: int, width: int, augmentation: str, **changes: object) -> Work:
    # As many multiply-accumulates as a network with strides has; odd sides keep them from being a plain product.
    gmac = 0.3 * ((size + 1) // 2) ** 2 * width**2 / 1e6 + 27 * size**2 * width / 1e9
    work = Work(KIND, gmac, size, width, augmentation, 32, 1000 + size, 700 + width, 4e4 * width)
    return replace(work, **changes)  # type: ignore[arg-type]


def terms_by_hand(work: Work) -> tuple[list[float], list[float]]:
    """What training and evaluation count, written out once more."""
    images, pixels = work.train_images, work.image_size**2 / 1e6
    steps, cropped, drawn = images / work.batch_size, work.augmentation != "none", work.augmentation == "default+ra"
    training = [images * work.gmac, images * pixels * work.width, steps]
    training += [images * pixels * cropped, images * pixels * drawn, steps * drawn]
    evaluated = work.eval_images
    return training, [evaluated * work.gmac, evaluated * pixels * work.width, work.attack_pairs, float(evaluated > 0)]


def measured(work: Work, device: str = "gpu", factor: float = 1.0) -> Measurement:
    """A row whose seconds are exactly what the coefficients say, times `factor`."""
    training, evaluation = terms_by_hand(work)
    seconds = factor * np.dot(training, TRAINING), factor * np.dot(evaluation, EVALUATION)
    return Measurement(device, work, float(seconds[0]), float(seconds[1]))


def all_shapes() -> list[Measurement]:
    shapes = product(SIZES, WIDTHS, AUGMENTATIONS, (32, 128), (1000, 5000))
    return [measured(work_of(size, width, augmentation, batch_size=batch, train_images=images))
            for size, width, augmentation, batch, images in shapes]  # fmt: skip


def noisy(rows: Sequence[Measurement], sigma: float) -> list[Measurement]:
    factors = np.exp(np.random.default_rng(0).normal(0, sigma, len(rows)))
    return [measured(row.work, factor=factor) for row, factor in zip(rows, factors, strict=True)]


NEW_WORKS = [
    work_of(28, 32, "default", train_images=40_000, batch_size=64),
    work_of(48, 16, "default+ra"),
    work_of(32, 32, "none", train_images=0),
    work_of(64, 64, "default+ra", eval_images=0, attack_pairs=0.0),
]


def test_rows_without_noise_foretell_other_shapes() -> None:
    predicted = fit(all_shapes()).seconds(NEW_WORKS)
    assert predicted == pytest.approx([measured(work).seconds for work in NEW_WORKS], rel=0.02)


def test_noisy_rows_are_fitted_as_by_weighted_least_squares() -> None:
    rows = noisy(all_shapes(), sigma=0.05)
    by_hand = np.zeros(len(NEW_WORKS))
    for part, seconds in enumerate(([row.seconds_training for row in rows], [row.seconds_evaluation for row in rows])):
        weighted = [np.array(terms_by_hand(row.work)[part]) / own for row, own in zip(rows, seconds, strict=True)]
        coefficients = np.linalg.lstsq(np.array(weighted), np.ones(len(rows)), rcond=None)[0]
        assert (coefficients > 0).all()
        by_hand += [np.dot(terms_by_hand(work)[part], coefficients) for work in NEW_WORKS]
    assert fit(rows).seconds(NEW_WORKS) == pytest.approx(by_hand, rel=0.05)


def test_no_coefficient_is_negative() -> None:
    rates = fit(noisy(all_shapes()[:12], sigma=1.0))
    assert (rates.training >= 0).all()
    assert (rates.evaluation >= 0).all()


def test_rows_of_one_shape_foretell_that_shape_and_others_by_their_arithmetic() -> None:
    shape = work_of(28, 16, "default")
    rows = [measured(replace(shape, train_images=images)) for images in (1000, 2000, 7000)]
    rates = fit(rows)
    same = replace(shape, train_images=30_000)
    assert rates.seconds([same])[0] == pytest.approx(measured(same).seconds, rel=0.01)
    larger = work_of(64, 64, "default", train_images=30_000, eval_images=0, attack_pairs=0.0)
    smaller = replace(same, eval_images=0, attack_pairs=0.0)
    ratio = rates.seconds([larger])[0] / rates.seconds([smaller])[0]
    assert ratio == pytest.approx(larger.gmac / smaller.gmac, rel=0.02)


@pytest.mark.parametrize("seed", range(10))
def test_no_rounding_decides_between_terms_that_rows_cannot_tell_apart(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = work_of(30, 24, "default+ra", batch_size=48, eval_images=0, attack_pairs=0.0)
    images = [int(count) for count in rng.integers(1000, 100_000, 12)]
    rows = [measured(replace(shape, train_images=count), factor=rng.lognormal(0, 0.1)) for count in images]
    larger = work_of(64, 64, "default+ra", train_images=shape.train_images, eval_images=0, attack_pairs=0.0)
    predicted = fit(rows).seconds([shape, larger])
    assert predicted[1] / predicted[0] == pytest.approx(larger.gmac / shape.gmac, rel=0.02)


def test_rows_that_trained_nothing_say_nothing_of_training() -> None:
    rates = fit([measured(work_of(size, 16, "none", train_images=0)) for size in SIZES])
    assert (rates.training == 0).all()
    work = work_of(28, 16, "none")
    assert rates.seconds([work])[0] == pytest.approx(measured(work).seconds_evaluation, rel=0.02)


def test_a_held_out_row_has_no_part_in_its_own_prediction() -> None:
    rows = noisy(all_shapes()[:20], sigma=0.2)
    groups = [index % 4 for index in range(20)]
    ratios = held_out(rows, groups)
    for index, row in enumerate(rows):
        others = [other for other, group in zip(rows, groups, strict=True) if group != groups[index]]
        assert ratios[index] == pytest.approx(fit(others).seconds([row.work])[0] / row.seconds)
    ten_times = measured(rows[5].work, factor=10 * rows[5].seconds / measured(rows[5].work).seconds)
    again = held_out([*rows[:5], ten_times, *rows[6:]], groups)
    assert again[5] == pytest.approx(ratios[5] / 10)
    assert again[9] == pytest.approx(ratios[9])
    assert again[6] != pytest.approx(ratios[6], rel=1e-6)


def test_the_error_is_small_without_noise_and_as_large_as_the_noise() -> None:
    rows = all_shapes()
    groups = random_groups(len(rows))
    assert np.abs(held_out(rows, groups) - 1).max() < 0.02
    spread = np.median(np.abs(held_out(noisy(rows, sigma=0.7), groups) - 1))
    assert 0.25 < spread < 1.0


def test_the_random_groups_are_as_equal_as_can_be() -> None:
    sizes = np.bincount(random_groups(47))
    assert len(sizes) == FOLDS
    assert set(sizes) == {4, 5}
    assert sorted(random_groups(3)) == [0, 1, 2]


def test_the_attack_takes_the_smaller_of_members_and_non_members() -> None:
    counts = {"train": 1000, "val": 50, "test": 300}
    assert attack_pairs(100, counts, "test") == 300 * (300 + 40)
    assert attack_pairs(900, counts, "test") == 100 * (100 + 360)
    assert attack_pairs(100, counts, "val") == 50 * (50 + 40)
    assert attack_pairs(100, None, "val") == 0
