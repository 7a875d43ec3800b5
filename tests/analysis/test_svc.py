"""The linear-time fit against scikit-learn's SVC, whose LIBSVM stops at a tolerance."""

import numpy as np
import pytest
from sklearn.svm import SVC

from salun_grid.analysis.svc import features, fit

C = 3.0


def test_the_features_give_the_kernel() -> None:
    x = np.linspace(0, 1, 101)
    np.testing.assert_allclose(features(x) @ features(x).T, np.exp(-((x[:, None] - x) ** 2)), atol=1e-12)


def draw(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities of members and non-members, (2n,), whether each is a member, and other probabilities (300,).

    The two are apart, alike, rounded, mostly 1, or float32.
    """
    rng = np.random.default_rng(seed)
    n, a, b = int(rng.choice([1, 5, 20, 54, 160, 400])), 10 ** rng.uniform(-0.5, 2.5), 10 ** rng.uniform(-1.5, 0.7)
    members = rng.beta(a, b, n)
    others = rng.beta(a * rng.choice([1, 0.98, 0.8, 0.5, 0.2]), b * rng.choice([1, 1.05, 2]), n)
    x = np.concatenate([members, others])
    match seed % 5:
        case 0:
            x = x.round(2)
        case 1:
            x = np.minimum(1, x + 0.3)
        case 2:
            x = x.astype(np.float32).astype(np.float64)
    return x, np.repeat([True, False], n), np.concatenate([rng.beta(a, b, 200), rng.random(100)])


@pytest.mark.parametrize("seed", range(60))
def test_the_fit_is_scikit_learns(seed: int) -> None:
    """To within LIBSVM's tolerance, 1e-3 by default; labels may differ only where the decision is as near to 0."""
    x, is_member, others = draw(seed)
    decision = fit(features(x), is_member, C)
    found = decision(features(others))
    for tolerance, close in ((1e-8, 1e-3), (1e-3, 4e-2)):
        svc = SVC(C=C, gamma="auto", tol=tolerance).fit(x[:, None], is_member)
        np.testing.assert_allclose(found, svc.decision_function(others[:, None]), atol=close)
        clear = np.abs(found) > (1e-4 if tolerance < 1e-3 else 2e-2)
        np.testing.assert_array_equal(decision.is_member(features(others))[clear], svc.predict(others[:, None])[clear])


@pytest.mark.parametrize("seed", range(30))
def test_the_fit_meets_the_conditions_of_the_optimum(seed: int) -> None:
    """Its hinge losses cost no more than those of LIBSVM at a tolerance of 1e-8."""
    x, is_member, _ = draw(100 + seed)
    sign, images = np.where(is_member, 1.0, -1.0), features(x)
    svc = SVC(C=C, gamma="auto", tol=1e-8).fit(x[:, None], is_member)
    theirs = svc.dual_coef_[0] @ images[svc.support_]

    def cost(weights: np.ndarray, values: np.ndarray) -> float:
        return weights @ weights / 2 + C * np.maximum(0, 1 - sign * values).sum()

    ours = fit(images, is_member, C)
    assert cost(ours.weights, ours(images)) <= cost(theirs, svc.decision_function(x[:, None])) * (1 + 1e-6)


def test_equal_probabilities_are_called_non_members_on_every_machine() -> None:
    """The decision is 0 but for rounding, and scikit-learn's label that of its sign."""
    for value in (0.2, 0.7, 1.0):
        images = features(np.full(40, value))
        assert not fit(images, np.repeat([True, False], 20), C).is_member(images).any()


def test_a_corrector_that_cycles_gives_way_to_a_centring_step() -> None:
    """Without that step the fit of this draw does not converge, as one in some 80,000."""
    rng = np.random.default_rng(69388)
    n, a, b = int(rng.choice([5, 20, 54, 160])), 10 ** rng.uniform(-0.5, 2.5), 10 ** rng.uniform(-1.5, 0.7)
    members = rng.beta(a, b, n)
    others = rng.beta(a * rng.choice([1, 0.98, 0.8, 0.5, 0.2]), b * rng.choice([1, 1.05, 2]), n)
    x, is_member = np.concatenate([members, others]), np.repeat([True, False], n)
    svc = SVC(C=C, gamma="auto", tol=1e-8).fit(x[:, None], is_member)
    found = fit(features(x), is_member, C)(features(x))
    np.testing.assert_allclose(found, svc.decision_function(x[:, None]), atol=1e-3)
