"""UA, RA, TA and MIA against the slowest and plainest way to compute them."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.svm import SVC

import salun_grid.analysis.metrics as metrics
from salun_grid.analysis.metrics import (
    Attack,
    Predictions,
    accuracy_percent,
    evaluate,
    membership_inference,
    true_class_probability,
)
from tests.support.folders import make_predictions

SEEDS = range(5)
ATTACKS = [Attack(), Attack(non_members="val"), Attack(members="balanced", seed=1), Attack(svc_c=1.0)]


def naive_accuracy(logits: np.ndarray, labels: np.ndarray, chosen: list[bool]) -> float:
    right = total = 0
    for row, label, wanted in zip(logits.tolist(), labels.tolist(), chosen, strict=True):
        if wanted:
            best = 0
            for k in range(len(row)):
                if row[k] > row[best]:
                    best = k
            right += best == label
            total += 1
    return 100 * right / total


def naive_mia(predictions: Predictions, non_members: str) -> float:
    """The first n of D_r against the first n non-members, as the design describes the attack."""

    def confidence(split: str) -> list[float]:
        rows = zip(predictions.logits[split].astype(float), predictions.labels[split], strict=True)
        return [float(softmax(row)[label]) for row, label in rows]

    train = confidence("train")
    d_r = [p for p, gone in zip(train, predictions.forgotten, strict=True) if not gone]
    d_f = [p for p, gone in zip(train, predictions.forgotten, strict=True) if gone]
    outside = confidence(non_members)
    n = min(len(d_r), len(outside))
    x = [[p] for p in d_r[:n] + outside[:n]]
    svc = SVC(C=3, gamma="auto", kernel="rbf").fit(x, ["member"] * n + ["non-member"] * n)
    called = svc.predict([[p] for p in d_f])
    return 100 * sum(answer == "non-member" for answer in called) / len(d_f)


@pytest.mark.parametrize("seed", SEEDS)
def test_ua_ra_ta_equal_plain_loops(seed: int) -> None:
    p = make_predictions(seed, sizes=(61, 10, 23), num_classes=5)
    gone = p.forgotten.tolist()
    found = evaluate(p, Attack())
    train, labels = p.logits["train"], p.labels["train"]
    assert found["ua"] == pytest.approx(100 - naive_accuracy(train, labels, gone), abs=1e-9)
    assert found["ra"] == pytest.approx(naive_accuracy(train, labels, [not g for g in gone]), abs=1e-9)
    expected = naive_accuracy(p.logits["test"], p.labels["test"], [True] * 23)
    assert found["ta"] == pytest.approx(expected, abs=1e-9)


def test_ua_ra_ta_of_a_case_counted_by_hand() -> None:
    eye = np.eye(2, dtype=np.float32)
    p = Predictions(
        logits={"train": eye[[0, 0, 1, 1, 0, 0]], "val": eye, "test": eye[[0, 1, 1, 1]]},
        labels={
            "train": np.array([0, 1, 1, 1, 1, 0]),
            "val": np.array([0, 1]),
            "test": np.array([0, 0, 1, 1]),
        },
        forgotten=np.array([True, True, True, True, False, False]),
    )
    found = evaluate(p, Attack())
    assert (found["ua"], found["ra"], found["ta"]) == (25.0, 50.0, 75.0)


def test_first_of_equal_logits_is_the_prediction() -> None:
    logits = np.array([[1, 1, 1], [0, 2, 2], [3, 0, 3], [-1, -1, -2]], dtype=np.float32)
    for labels, percent in (([0, 1, 0, 0], 100.0), ([1, 2, 2, 1], 0.0), ([0, 2, 0, 1], 50.0)):
        assert accuracy_percent(logits, np.array(labels)) == percent
        assert naive_accuracy(logits, np.array(labels), [True] * 4) == percent


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0, 1e4])
def test_true_class_probability_equals_scipys_softmax(scale: float) -> None:
    rng = np.random.default_rng(7)
    logits = (scale * rng.normal(size=(200, 9))).astype(np.float32)
    labels = rng.integers(0, 9, 200)
    expected = softmax(logits.astype(np.float64), axis=1)[np.arange(200), labels]
    found = true_class_probability(logits, labels)
    assert found.shape == (200,)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=0)


def test_true_class_probability_leaves_its_argument_as_it_was() -> None:
    logits = np.array([[1.0, 5.0], [2.0, -3.0]])
    true_class_probability(logits, np.array([0, 1]))
    np.testing.assert_array_equal(logits, [[1.0, 5.0], [2.0, -3.0]])


@pytest.mark.parametrize("non_members", ["test", "val"])
@pytest.mark.parametrize("sizes", [(40, 12, 20), (40, 60, 80), (40, 30, 30)], ids=str)
@pytest.mark.parametrize("seed", SEEDS)
def test_mia_equals_a_plain_svc(seed: int, sizes: tuple[int, int, int], non_members: str) -> None:
    """The sizes make D_r (30 images) larger than the non-members, smaller, and as large."""
    p = make_predictions(seed, sizes=sizes)
    found = membership_inference(p, Attack(non_members=non_members))
    assert found == pytest.approx(naive_mia(p, non_members))


def confident(sure: list[bool]) -> np.ndarray:
    """Logits of two classes for images of class 0, with probability 0.99 or 0.5 for it."""
    return np.array([[4.6, 0.0] if high else [0.0, 0.0] for high in sure], dtype=np.float32)


@pytest.mark.parametrize(("forgotten_are_sure", "percent"), [(True, 0.0), (False, 100.0)])
def test_mia_calls_what_looks_like_test_images_non_members(forgotten_are_sure: bool, percent: float) -> None:
    logits = {"train": confident([True] * 20 + [forgotten_are_sure] * 5), "test": confident([False] * 20)}
    labels = {split: np.zeros(len(rows), dtype=np.int64) for split, rows in logits.items()}
    assert membership_inference(Predictions(logits, labels, np.arange(25) >= 20), Attack()) == percent


class RecordingSVC(SVC):
    """An SVC that remembers what it was fitted on."""

    fitted: list[tuple[list[float], list[float]]] = []  # noqa: RUF012

    def fit(self, x: np.ndarray, y: np.ndarray) -> "RecordingSVC":
        self.fitted.append((x[y == 1, 0].tolist(), x[y == 0, 0].tolist()))
        return super().fit(x, y)


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[float], list[float]]]:
    monkeypatch.setattr(RecordingSVC, "fitted", [])
    monkeypatch.setattr(metrics, "SVC", RecordingSVC)
    return RecordingSVC.fitted


@pytest.mark.parametrize("sizes", [(80, 10, 25), (40, 10, 70)], ids=["D_r is larger", "D_r is smaller"])
def test_balanced_members_are_drawn_from_the_seed(sizes: tuple[int, int, int], fitted: list) -> None:
    p = make_predictions(3, sizes=sizes)
    attack = Attack(members="balanced", seed=5)
    assert membership_inference(p, attack) == membership_inference(p, attack)
    membership_inference(p, replace(attack, seed=6))
    same, again, other = fitted
    assert same == again
    larger = 0 if sizes[0] > sizes[2] else 1
    assert set(same[larger]) != set(other[larger])


def test_balanced_members_come_from_d_r_and_as_many_from_each_group(fitted: list) -> None:
    p = make_predictions(3, sizes=(80, 10, 25))
    membership_inference(p, Attack(members="balanced", seed=5))
    membership_inference(p, Attack(members="first"))
    (members, non_members), (first_members, first_non_members) = fitted
    kept = true_class_probability(p.logits["train"], p.labels["train"])[~p.forgotten]
    test = true_class_probability(p.logits["test"], p.labels["test"])
    assert len(members) == len(non_members) == 25
    assert set(members) <= set(kept.tolist())
    assert sorted(non_members) == sorted(test.tolist())
    assert first_members == kept[:25].tolist()
    assert first_non_members == test.tolist()
    assert set(members) != set(first_members)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4, -1e4])
def test_every_metric_is_a_finite_percentage(scale: float, attack: Attack) -> None:
    for seed in SEEDS:
        p = make_predictions(seed, sizes=(40, 12, 20))
        signs = {split: np.sign(rows) * np.float32(scale) for split, rows in p.logits.items()}
        for logits in (signs, {split: rows * np.float32(scale) for split, rows in p.logits.items()}):
            found = evaluate(replace(p, logits=logits), attack)
            assert set(found) == {"ua", "ra", "ta", "mia"}
            assert all(math.isfinite(value) and 0 <= value <= 100 for value in found.values()), found


def test_extreme_logits_give_probabilities_of_nought_and_one() -> None:
    logits = np.array([[1e4, -1e4], [1e4, -1e4], [-1e4, -1e4]], dtype=np.float32)
    np.testing.assert_array_equal(true_class_probability(logits, np.array([0, 1, 1])), [1.0, 0.0, 0.5])


# --- whole classes ------------------------------------------------------------------------------------------


def of_classes(classes: list[int]) -> Predictions:
    p = make_predictions(3, sizes=(80, 40, 50), num_classes=4)
    return replace(p, forgotten=np.isin(p.labels["train"], classes))


@pytest.mark.parametrize("split", ["test", "val"])
@pytest.mark.parametrize("classes", [[1], [0, 2]])
def test_non_members_of_a_forgotten_class_are_left_out_of_the_attack(split: str, classes: list[int]) -> None:
    """As if the file held no held-out image of it, which is how SalUn's code prepares its test set."""
    p = of_classes(classes)
    kept = ~np.isin(p.labels[split], classes)
    fewer = replace(
        p, logits=p.logits | {split: p.logits[split][kept]}, labels=p.labels | {split: p.labels[split][kept]}
    )
    assert 0 < kept.sum() < len(kept)
    found = membership_inference(p, Attack(non_members=split))
    assert found == membership_inference(fewer, Attack(non_members=split))
    assert found == pytest.approx(naive_mia(fewer, split))


def test_non_members_stay_where_none_are_of_another_class() -> None:
    p = of_classes([1])
    alone = replace(p, labels=p.labels | {"test": np.ones_like(p.labels["test"])})
    assert membership_inference(alone, Attack()) == pytest.approx(naive_mia(alone, "test"))


def test_forgotten_classes_are_whole_ones_and_nothing_else() -> None:
    assert of_classes([1]).forgotten_classes.tolist() == [1]
    assert of_classes([0, 2]).forgotten_classes.tolist() == [0, 2]
    assert of_classes([1]).retained_classes.tolist() == [0, 2, 3]
    p = of_classes([1])
    with_another = p.forgotten | (np.arange(80) == int(np.flatnonzero(~p.forgotten)[0]))
    assert replace(p, forgotten=with_another).forgotten_classes.tolist() == []
    assert make_predictions(3, (80, 40, 50)).forgotten_classes.tolist() == []
