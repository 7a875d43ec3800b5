"""Offline LiRA and RMIA against loops over images, models and population, as the papers write them."""

import math
from dataclasses import replace

import numpy as np
import pytest

from salun_grid.analysis.references import References, Target, lira, rmia
from salun_grid.analysis.roc import auc
from salun_grid.records.errors import UndefinedError

A, GAMMA = 0.3, 1.0


def some_models(seed: int, models: int = 4, sizes: tuple[int, int, int] = (13, 9, 11)) -> tuple[Target, References]:
    rng = np.random.default_rng(seed)
    forgotten, non_members, population = (rng.normal(1, 2, (models + 1, size)) for size in sizes)
    out = rng.random((models, sizes[0])) < 0.4
    out[0, 0] = True  # one image at least is covered
    target = Target(forgotten[0], non_members[0], population[0])
    return target, References(forgotten[1:], out, non_members[1:], population[1:])


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def out_values(references: References, image: int) -> list[float]:
    return [float(v) for v, o in zip(references.forgotten[:, image], references.out[:, image], strict=True) if o]


def covered(references: References) -> list[int]:
    return [i for i in range(references.out.shape[1]) if out_values(references, i)]


def values_of_non_member(references: References, j: int) -> list[float]:
    """Those of the models that forgot covered image j modulo their number."""
    images = covered(references)
    image = images[j % len(images)]
    return [float(references.non_members[m, j]) for m in range(len(references.out)) if references.out[m, image]]


def naive_lira(target: Target, references: References) -> tuple[list[float], list[float]]:
    squares, degrees = 0.0, 0
    for i in covered(references):
        values = out_values(references, i)
        mean = sum(values) / len(values)
        squares += sum((v - mean) ** 2 for v in values)
        degrees += len(values) - 1
    sd = math.sqrt(squares / degrees)
    members = [(target.forgotten[i] - sum(v := out_values(references, i)) / len(v)) / sd for i in covered(references)]
    others = []
    for j, own in enumerate(target.non_members):
        values = values_of_non_member(references, j)
        others.append((own - sum(values) / len(values)) / sd)
    return members, others


def naive_rmia(target: Target, references: References) -> tuple[list[float], list[float]]:
    def ratio(own: float, values: list[float]) -> float:
        p_out = sum(map(sigmoid, values)) / len(values)
        return sigmoid(own) / (((1 + A) * p_out + (1 - A)) / 2)

    population = [
        ratio(float(own), [float(v) for v in references.population[:, z]]) for z, own in enumerate(target.population)
    ]

    def score(x: float) -> float:
        return sum(x / z >= GAMMA for z in population) / len(population)

    members = [score(ratio(float(target.forgotten[i]), out_values(references, i))) for i in covered(references)]
    others = [score(ratio(float(own), values_of_non_member(references, j))) for j, own in enumerate(target.non_members)]
    return members, others


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("attack", "naive"), [(lira, naive_lira), (rmia, naive_rmia)], ids=["lira", "rmia"])
def test_attacks_equal_their_loops(attack, naive, seed: int) -> None:
    target, references = some_models(seed, models=2 + seed % 4)
    for found, expected in zip(attack(target, references), naive(target, references), strict=True):
        if attack is rmia:  # below the next share, ties are broken at random
            size = len(target.population)
            found = np.floor(found * size + 1e-9) / size
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_ties_of_rmia_are_broken_at_random_and_the_same_each_time() -> None:
    target, references = some_models(5, sizes=(200, 200, 4))
    members, others = rmia(target, references)
    assert len(np.unique(members)) == len(members) and len(np.unique(others)) == len(others)
    assert len(np.unique(np.floor(members * 4 + 1e-9))) <= 5
    np.testing.assert_array_equal(rmia(target, references)[0], members)


@pytest.mark.parametrize("attack", [lira, rmia])
def test_only_images_with_a_reference_that_never_saw_them_are_scored(attack) -> None:
    target, references = some_models(1)
    members, others = attack(target, references)
    assert len(members) == len(covered(references)) < references.out.shape[1]
    assert len(others) == len(target.non_members)


@pytest.mark.parametrize("attack", [lira, rmia])
def test_models_that_saw_an_image_do_not_count_for_it(attack) -> None:
    target, references = some_models(2)
    changed = replace(references, forgotten=np.where(references.out, references.forgotten, 1e3))
    for found, expected in zip(attack(target, changed), attack(target, references), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("attack", [lira, rmia])
def test_without_any_such_reference_there_is_no_score(attack) -> None:
    target, references = some_models(3)
    with pytest.raises(UndefinedError, match="retrain of another seed"):
        attack(target, replace(references, out=np.zeros_like(references.out)))


def test_one_reference_gives_an_order_without_a_spread() -> None:
    target, references = some_models(4, models=1)
    members, _ = lira(target, references)
    expected = (target.forgotten - references.forgotten[0])[references.out[0]]
    np.testing.assert_allclose(members, expected)


@pytest.mark.parametrize("attack", [lira, rmia])
def test_attacks_see_through_hard_and_easy_images(attack) -> None:
    """Each image has a difficulty of its own, far larger than what membership adds: a threshold sees nothing."""
    rng = np.random.default_rng(0)
    models, size = 6, 400
    difficulty = [rng.normal(0, 4, size) for _ in range(3)]
    forgotten, others, population = (d + rng.normal(0, 0.3, (models + 1, size)) for d in difficulty)
    forgotten[0] += 1.5
    references = References(forgotten[1:], rng.random((models, size)) < 0.5, others[1:], population[1:])
    target = Target(forgotten[0], others[0], population[0])
    assert auc(*attack(target, references)) > auc(forgotten[0], others[0]) + 0.12


@pytest.mark.parametrize("attack", [lira, rmia])
def test_a_model_that_saw_none_of_them_gives_a_coin_though_references_are_uneven(attack) -> None:
    rng = np.random.default_rng(5)
    models, size = 8, 3000
    forgotten, others, population = (rng.normal(2, 2, size) + rng.normal(0, 1, (models + 1, size)) for _ in range(3))
    references = References(forgotten[1:], rng.random((models, size)) < 0.15, others[1:], population[1:])
    target = Target(forgotten[0], others[0], population[0])
    assert auc(*attack(target, references)) == pytest.approx(0.5, abs=0.03)
