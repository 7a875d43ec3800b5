"""The paper's attack over draws against scikit-learn's SVC, and when it is called uninformative."""

import numpy as np
import pytest
from sklearn.svm import SVC

from salun_grid.analysis.membership import DRAWS, Drawn, features, fit, over_draws
from salun_grid.analysis.metrics import Attack, membership_inference, true_class_probability
from salun_grid.analysis.roc import tpr_at_fpr, tpr_under_null
from salun_grid.records.errors import UndefinedError
from tests.support.folders import make_predictions

C = 3.0


def test_the_features_give_the_kernel() -> None:
    x = np.linspace(0, 1, 101)
    np.testing.assert_allclose(features(x) @ features(x).T, np.exp(-((x[:, None] - x) ** 2)), atol=1e-15)


def draw(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities of members, non-members and forgotten images: apart, alike, rounded, or most of them 1."""
    rng = np.random.default_rng(seed)
    n, a, b = int(rng.choice([20, 54, 160, 400])), rng.uniform(0.5, 30), rng.uniform(0.3, 3)
    members, others, forgotten = rng.beta(a, b, n), rng.beta(a * rng.choice([1, 0.5, 0.2]), b, n), rng.beta(a, b, 200)
    if seed % 4 == 0:
        members, others = members.round(2), others.round(2)
    if seed % 5 == 0:
        members, others = np.minimum(1, members + 0.3), np.minimum(1, others + 0.3)
    return members, others, forgotten


@pytest.mark.parametrize("seed", range(40))
def test_the_fit_is_scikit_learns(seed: int) -> None:
    """To within LIBSVM's tolerance, which is 1e-3 by default."""
    members, others, forgotten = draw(seed)
    x, is_member = np.concatenate([members, others]), np.repeat([True, False], len(members))
    weights, intercept = fit(x, is_member)
    for tolerance, close in ((1e-8, 1e-5), (1e-3, 2e-2)):
        svc = SVC(C=C, gamma="auto", tol=tolerance).fit(x[:, None], is_member)
        decision = svc.decision_function(forgotten[:, None])
        np.testing.assert_allclose(features(forgotten) @ weights + intercept, decision, atol=close)


def test_over_draws_is_the_mean_of_the_papers_attack_on_each_draw() -> None:
    predictions = make_predictions(3, sizes=(300, 80, 90))
    everyone = np.ones(80, dtype=bool)
    found = over_draws(predictions, everyone, "val", draws=5, seed=7)
    rng, values = np.random.default_rng(7), []
    probability = {s: true_class_probability(predictions.logits[s], predictions.labels[s]) for s in ("train", "val")}
    for _ in range(5):
        members = rng.permutation(probability["train"][~predictions.forgotten])[:80]
        x = np.concatenate([members, rng.permutation(probability["val"])[:80]])
        svc = SVC(C=C, gamma="auto").fit(x[:, None], np.repeat([1, 0], 80))
        values.append(100 * np.mean(svc.predict(probability["train"][predictions.forgotten][:, None]) == 0))
    assert found.n == 80
    assert found.mean == pytest.approx(np.mean(values), abs=0.5)
    assert found.sd == pytest.approx(np.std(values, ddof=1), abs=0.5)
    assert over_draws(predictions, everyone, "val", draws=5, seed=7) == found


def test_the_draws_scatter_around_the_papers_balanced_draw() -> None:
    predictions = make_predictions(4, sizes=(400, 120, 90))
    found = over_draws(predictions, np.ones(120, dtype=bool), "val")
    one = membership_inference(predictions, Attack(non_members="val", members="balanced", seed=11))
    assert abs(one - found.mean) <= 4 * found.sd + 0.5
    assert DRAWS >= 20


def test_an_attack_at_chance_is_called_uninformative() -> None:
    assert not Drawn(30.0, 30.0, 50.0, 100).informative
    assert not Drawn(30.0, 30.0, 55.8, 100).informative
    assert Drawn(30.0, 30.0, 55.9, 100).informative


def test_without_images_there_is_no_attack() -> None:
    with pytest.raises(UndefinedError):
        over_draws(make_predictions(), np.zeros(4, dtype=bool), "val")


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
