"""UA, RA, TA and MIA as pure functions of predictions (Fan et al. 2024; all in percent).

None is better higher or lower; the target is the retrained model's value.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn.svm import SVC


@dataclass(frozen=True)
class Attack:
    """The membership attack: SVC's C, which split stands for non-members, how members are chosen from D_r."""

    svc_c: float = 3.0
    non_members: str = "test"
    members: str = "first"
    seed: int = 0


@dataclass(frozen=True)
class Predictions:
    """One evaluated model: `logits[split]` float32 (N, K), `labels[split]` int64 (N,), `forgotten` bool (N_train,)."""

    logits: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    forgotten: np.ndarray

    @cached_property
    def retained_classes(self) -> np.ndarray:
        """Classes with an image in D_r, int64, ascending."""
        return np.unique(self.labels["train"][~self.forgotten])

    @cached_property
    def forgotten_classes(self) -> np.ndarray:
        """The classes that D_f is made of, int64, ascending, where D_f holds whole classes alone; else empty."""
        found = np.unique(self.labels["train"][self.forgotten])
        return found if not np.isin(found, self.retained_classes).any() else found[:0]

    @cached_property
    def finite(self) -> bool:
        """Whether every logit is a number."""
        return all(bool(np.isfinite(logits).all()) for logits in self.logits.values())


def accuracy_percent(logits: np.ndarray, labels: np.ndarray) -> float:
    """Share of rows whose largest logit is the label's; the first of equal logits counts."""
    return 100.0 * float(np.mean(logits.argmax(1) == labels))


def unlearning_accuracy(predictions: Predictions) -> float:
    """UA = 100 − accuracy on D_f. The paper's text calls it an accuracy; its tables print this."""
    forgotten = predictions.forgotten
    return 100.0 - accuracy_percent(predictions.logits["train"][forgotten], predictions.labels["train"][forgotten])


def remaining_accuracy(predictions: Predictions) -> float:
    """RA: accuracy on D_r."""
    kept = ~predictions.forgotten
    return accuracy_percent(predictions.logits["train"][kept], predictions.labels["train"][kept])


def testing_accuracy(predictions: Predictions) -> float:
    """TA: accuracy on the test split."""
    return accuracy_percent(predictions.logits["test"], predictions.labels["test"])


def true_class_probability(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Softmax probability of the true class, float64 (N,)."""
    z = logits.astype(np.float64)
    z -= z.max(axis=1, keepdims=True)
    exp = np.exp(z)
    return exp[np.arange(len(labels)), labels] / exp.sum(axis=1)


def attack_confidences(predictions: Predictions, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The attack's feature, the probability of the true class, of D_r, of the non-members in `split`, and of D_f.

    Non-members of a class without members are left out, as SalUn's code removes a forgotten class from the test split;
    they stay if no others are.
    """
    seen, unseen = (true_class_probability(predictions.logits[s], predictions.labels[s]) for s in ("train", split))
    known = np.isin(predictions.labels[split], predictions.retained_classes)
    return seen[~predictions.forgotten], unseen[known if known.any() else slice(None)], seen[predictions.forgotten]


def membership_inference(predictions: Predictions, attack: Attack) -> float:
    """MIA: percent of D_f that an RBF SVC (gamma auto) on the true class's probability calls non-member.

    It is fitted on n members of D_r and n non-members, n the smaller of the two groups. `first` takes the
    first n of each, as SalUn's code does; `balanced` draws n of each from `attack.seed`.
    """
    members, non_members, forgotten = attack_confidences(predictions, attack.non_members)
    n = min(len(members), len(non_members))
    if attack.members == "balanced":
        rng = np.random.default_rng(attack.seed)
        members, non_members = rng.permutation(members), rng.permutation(non_members)
    features = np.concatenate([members[:n], non_members[:n]])[:, None]
    is_member = np.repeat([1, 0], n)
    svc = SVC(C=attack.svc_c, kernel="rbf", gamma="auto").fit(features, is_member)
    called_member = svc.predict(forgotten[:, None])
    return 100.0 * float(np.mean(called_member == 0))


def evaluate(predictions: Predictions, attack: Attack) -> dict[str, float]:
    """The four metrics of one model, percent, by column name."""
    return {
        "ua": unlearning_accuracy(predictions),
        "ra": remaining_accuracy(predictions),
        "ta": testing_accuracy(predictions),
        "mia": membership_inference(predictions, attack),
    }
