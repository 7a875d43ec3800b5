"""The paper's attack over draws against scikit-learn's on the same draws, and when it is called uninformative."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.svm import SVC

from salun_grid.analysis.membership import CHANCE_LEVEL, DRAWS, SVC_C, Drawn, over_draws
from salun_grid.analysis.metrics import Attack, Predictions, membership_inference, true_class_probability
from salun_grid.analysis.roc import tpr_at_fpr, tpr_under_null
from salun_grid.records.errors import UndefinedError
from tests.support.folders import make_predictions


def naive(predictions: Predictions, split: str, draws: int, seed: int) -> list[float]:
    """The attack of scikit-learn on each draw, in percent."""
    p, rng, values = predictions, np.random.default_rng(seed), []
    probability = {s: true_class_probability(p.logits[s], p.labels[s]) for s in ("train", split)}
    known = [label in set(p.labels["train"][~p.forgotten].tolist()) for label in p.labels[split].tolist()]
    for _ in range(draws):
        members, others = (
            rng.permutation(probability["train"][~p.forgotten]),
            rng.permutation(probability[split][known]),
        )
        n = min(len(members), len(others))
        svc = SVC(C=SVC_C, gamma="auto").fit(np.r_[members[:n], others[:n]][:, None], np.repeat([1, 0], n))
        values.append(100 * np.mean(svc.predict(probability["train"][p.forgotten][:, None]) == 0))
    return values


def separable(seed: int, by: float, sizes: tuple[int, int, int] = (300, 80, 90)) -> Predictions:
    """Predictions that are surer of D_r's classes than of other images."""
    p = make_predictions(seed, sizes=sizes)
    kept = np.flatnonzero(~p.forgotten)
    p.logits["train"][kept, p.labels["train"][kept]] += by
    return p


@pytest.mark.parametrize("seed", range(6))
def test_over_draws_is_the_mean_of_the_papers_attack_on_each_draw(seed: int) -> None:
    predictions = separable(seed, by=2.0)
    found, values = over_draws(predictions, "val", draws=5, seed=7), naive(predictions, "val", 5, seed=7)
    one_image = 100 / predictions.forgotten.sum()
    assert found.n == 80
    assert found.mean == pytest.approx(np.mean(values), abs=one_image / 2)
    assert found.sd == pytest.approx(np.std(values, ddof=1), abs=one_image)
    assert over_draws(predictions, "val", draws=5, seed=7) == found


def test_non_members_of_a_forgotten_class_are_left_out_as_by_the_paper() -> None:
    predictions = separable(3, by=2.0)
    forgotten = predictions.labels["train"] == 1
    predictions = replace(predictions, forgotten=forgotten)
    found = over_draws(predictions, "val", draws=4, seed=1)
    assert found.n == (predictions.labels["val"] != 1).sum()
    assert found.mean == pytest.approx(np.mean(naive(predictions, "val", 4, seed=1)), abs=1.0)


def test_the_papers_balanced_attack_is_one_such_draw() -> None:
    predictions = separable(4, by=1.5, sizes=(400, 120, 90))
    found = over_draws(predictions, "val", DRAWS)
    attacks = [Attack(non_members="val", members="balanced", seed=seed) for seed in range(DRAWS)]
    values = [membership_inference(predictions, attack) for attack in attacks]
    assert found.mean == pytest.approx(np.mean(values), abs=4 * found.sd / np.sqrt(DRAWS) + 0.1)
    assert 0.4 < found.sd / np.std(values, ddof=1) < 2.5
    assert DRAWS >= 20


@pytest.mark.parametrize(
    ("accuracy", "sd", "n", "informative"),
    [(50.0, 30.0, 100, False), (55.5, 1.0, 100, False), (56.5, 1.0, 100, True), (56.5, 10.1, 100, False)],
)
def test_an_attack_at_chance_or_with_a_large_spread_is_uninformative(
    accuracy: float, sd: float, n: int, informative: bool
) -> None:
    """Of 200 coins, 112 heads have p = 0.052, and 113 p = 0.038."""
    assert Drawn(30.0, sd, accuracy, n).informative is informative


def test_models_that_treat_members_as_others_are_rarely_called_informative() -> None:
    rng, called = np.random.default_rng(0), 0
    for _ in range(200):
        a, b = 10 ** rng.uniform(0, 1.5), 10 ** rng.uniform(-0.5, 0.5)
        sure = {split: rng.beta(a, b, size) for split, size in (("train", 250), ("val", 54))}
        logits = {split: np.log(np.column_stack([p, 1 - p]).clip(1e-12)) for split, p in sure.items()}
        labels = {split: np.zeros(len(p), dtype=int) for split, p in sure.items()}
        called += over_draws(Predictions(logits, labels, np.arange(250) < 30), "val", draws=5).informative
    assert called / 200 <= CHANCE_LEVEL


def test_without_images_there_is_no_attack() -> None:
    p = make_predictions()
    with pytest.raises(UndefinedError, match="no image"):
        over_draws(Predictions(p.logits, p.labels, np.ones_like(p.forgotten)), "val")


@pytest.mark.parametrize(("members", "others", "fpr"), [(160, 160, 0.01), (54, 1000, 0.001), (1000, 250, 0.01)])
def test_the_tpr_of_an_attack_that_knows_nothing(members: int, others: int, fpr: float) -> None:
    rng = np.random.default_rng(0)
    drawn = [tpr_at_fpr(rng.random(members), rng.random(others), fpr) for _ in range(4000)]
    mean, high = tpr_under_null(members, others, fpr)
    assert mean == pytest.approx(np.mean(drawn), rel=0.1)
    assert np.mean(np.array(drawn) <= high + 1e-9) >= 0.94
    assert np.mean(np.array(drawn) < high - 1e-9) <= 0.96


def test_a_tpr_that_cannot_be_computed_has_no_null() -> None:
    with pytest.raises(UndefinedError, match="needs 1,000 non-members"):
        tpr_under_null(100, 999, 0.001)
