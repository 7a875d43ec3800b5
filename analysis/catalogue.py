"""Every metric computed from predictions: one line each in METRICS, with its unit, what it needs and its source.

A new metric is a pure function and one line here; tables, export and report include it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from salun_grid.analysis import divergence, quality
from salun_grid.analysis.attacks import ATTACKS, BY_REFERENCES, NO_REFERENCES, Case
from salun_grid.analysis.membership import DRAWS, MAX_SD_POINTS
from salun_grid.analysis.metrics import Predictions, accuracy_percent
from salun_grid.analysis.roc import auc, tpr_at_fpr, tpr_under_null
from salun_grid.records.errors import UndefinedError

OF_CLASS = "ta_forgotten"  # shown if a study forgets classes

Value = float | np.ndarray


@dataclass(frozen=True)
class Metric:
    """`compute` returns a float, an array if `per_class`, or raises UndefinedError with the reason.

    `by_references`: it needs the reference models of the case.
    """

    compute: Callable[[Case], Value]
    unit: str
    meaning: str
    source: str
    by_references: bool = False
    per_class: bool = False


def _on_forget(function: Callable[..., Value], with_labels: bool = False) -> Callable[[Case], Value]:
    """`function` of the model's and the retrain's logits of D_f."""

    def compute(case: Case) -> Value:
        p, retrain = case.model, _retrain(case)
        labels = (p.labels["train"][p.forgotten],) if with_labels else ()
        return function(p.logits["train"][p.forgotten], retrain.logits["train"][p.forgotten], *labels)

    return compute


def _on_test(function: Callable[..., Value]) -> Callable[[Case], Value]:
    """`function` of the model's and the retrain's logits of the test split."""
    return lambda case: function(case.model.logits["test"], _retrain(case).logits["test"])


def _alone(function: Callable[..., Value]) -> Callable[[Case], Value]:
    """`function` of the model's logits and the labels of the test split."""
    return lambda case: function(case.model.logits["test"], case.model.labels["test"])


def _tug_of_war(case: Case) -> float:
    return divergence.tug_of_war(case.model, _retrain(case))


def _forgotten_class_accuracy(case: Case) -> float:
    p = case.model
    if not len(p.forgotten_classes):
        raise UndefinedError("no class was forgotten as a whole")
    own = case.comparable("test")
    return accuracy_percent(p.logits["test"][own], p.labels["test"][own])


def _null(fpr: float, which: int, attack: str = "loss") -> Callable[[Case], float]:
    """The mean (0) or 95 % quantile (1) of the TPR of an attack that knows nothing of the images of one of ATTACKS."""

    def compute(case: Case) -> float:
        members, non_members = case.scores(attack)
        return tpr_under_null(len(members), len(non_members), fpr)[which]

    return compute


def _covered(case: Case) -> float:
    if case.references is None:
        raise UndefinedError(NO_REFERENCES)
    return 100.0 * float(np.any(case.references.out, axis=0).mean())


def _retrain(case: Case) -> Predictions:
    if case.retrain is None:
        raise UndefinedError("no retrain of this cell")
    if not case.retrain.finite:
        raise UndefinedError("NaN or infinity among the logits of the retrain")
    return case.retrain


def _attack_metrics(name: str) -> dict[str, Metric]:
    paper, referring = ATTACKS[name][1], name in BY_REFERENCES
    what = f"attack by {name.replace('_', ' ')} on the forgotten images against non-members"
    return {
        f"auc_{name}": Metric(lambda case: auc(*case.scores(name)), "", f"AUC of the {what}", paper, referring),
        f"tpr1_{name}": Metric(_at(name, 0.01), "percent", f"TPR at 1 % FPR of the {what}", paper, referring),
        f"tpr01_{name}": Metric(_at(name, 0.001), "percent", f"TPR at 0.1 % FPR of the {what}", paper, referring),
    }


def _at(attack: str, fpr: float) -> Callable[[Case], float]:
    return lambda case: tpr_at_fpr(*case.scores(attack), fpr)


_FAN, _DAVID = "Fan et al. 2024", "David & Nagaraja 2003"
_LIN, _GOLATKAR, _CHUNDAWAT = "Lin 1991", "Golatkar et al. 2020", "Chundawat et al. 2023"
_GUO, _YANG, _MAINI, _TARUN = "Guo et al. 2017", "Yang et al. 2023", "Maini et al. 2024", "Tarun et al. 2023"

_js, _kl, _same = divergence.js_divergence, divergence.kl_divergence, divergence.agreement
_quality, _ks, _ks_p = divergence.forgetting_quality, divergence.ks_distance, divergence.ks_p

METRICS: dict[str, Metric] = {
    **{key: metric for name in ATTACKS for key, metric in _attack_metrics(name).items()},
    "mia_mean": Metric(lambda case: case.drawn.mean, "percent", f"the paper's attack, mean of {DRAWS} draws", _FAN),
    "mia_sd": Metric(lambda case: case.drawn.sd, "percent", f"its standard deviation over {DRAWS} draws", _FAN),
    "mia_accuracy": Metric(lambda case: case.drawn.accuracy, "percent", "its accuracy on what it was fitted to", _FAN),
    "mia_informative": Metric(
        lambda case: float(case.drawn.informative),
        "",
        f"1 if that accuracy is above chance and mia_sd at most {MAX_SD_POINTS:g}, else 0",
        _FAN,
    ),
    "tpr1_null": Metric(_null(0.01, 0), "percent", "TPR at 1 % FPR of an attack that knows nothing", _DAVID),
    "tpr1_null_high": Metric(_null(0.01, 1), "percent", "its 95 % quantile; a TPR below it shows nothing", _DAVID),
    "tpr01_null_high": Metric(_null(0.001, 1), "percent", "the same at 0.1 % FPR", _DAVID),
    "tpr1_null_high_covered": Metric(
        _null(0.01, 1, "rmia"), "percent", "tpr1_null_high for LiRA and RMIA, which score covered images", _DAVID, True
    ),
    "covered": Metric(_covered, "percent", "D_f that attacks with references can score", "Carlini et al. 2022", True),
    "js_forget": Metric(_on_forget(_js), "nats", "Jensen–Shannon divergence to the retrain on D_f", _LIN),
    "js_test": Metric(_on_test(_js), "nats", "Jensen–Shannon divergence to the retrain on test", _LIN),
    "kl_forget": Metric(_on_forget(_kl), "nats", "KL(retrain ‖ model) on D_f", _GOLATKAR),
    "kl_test": Metric(_on_test(_kl), "nats", "KL(retrain ‖ model) on test", _GOLATKAR),
    "agreement_forget": Metric(_on_forget(_same), "percent", "D_f predicted as the retrain's class", _CHUNDAWAT),
    "agreement_test": Metric(_on_test(_same), "percent", "test images predicted as the retrain's class", _CHUNDAWAT),
    "forgetting_quality": Metric(_on_forget(_quality, True), "log10 p", "asymptotic p of ks_forget", _MAINI),
    "ks_forget": Metric(_on_forget(_ks, True), "", "KS distance on D_f to the retrain, 0 to 1", _MAINI),
    "ks_p": Metric(_on_forget(_ks_p, True), "p", "p of ks_forget, exact up to 10,000 images", "Hodges 1958"),
    "tow": Metric(_tug_of_war, "", "tug of war, 0 to 1; 1 is the retrain", "Zhao et al. 2024"),
    "ece": Metric(_alone(quality.calibration_error), "percent", "expected calibration error on test", _GUO),
    "nll": Metric(_alone(quality.negative_log_likelihood), "nats", "cross-entropy on test", _GUO),
    "auc_test": Metric(_alone(quality.medmnist_auc), "", "one-vs-rest AUC on test, class mean", _YANG),
    OF_CLASS: Metric(_forgotten_class_accuracy, "percent", "accuracy on test images of the forgotten class", _TARUN),
    "class_accuracy": Metric(
        _alone(quality.class_accuracy), "percent", "accuracy on test of each class", _YANG, per_class=True
    ),
}

# The default metrics of the table and the page.
HEADLINE = (
    "auc_loss",
    "tpr1_loss",
    "tpr01_loss",
    "tpr1_null_high",
    "mia_mean",
    "mia_sd",
    "mia_informative",
    "auc_lira",
    "auc_rmia",
    "tpr1_rmia",
    "tpr1_null_high_covered",
    "js_forget",
    "agreement_forget",
    "ks_forget",
    "forgetting_quality",
    "tow",
    "ece",
    "auc_test",
)


def headline(forget_rules: Iterable[str]) -> tuple[str, ...]:
    """HEADLINE, and for a study that forgets classes the accuracy on them."""
    return (*HEADLINE, OF_CLASS) if "class" in forget_rules else HEADLINE
