"""Whether a method left a model that only guesses: the note in its row, which the run prints and the tables show.

A model guesses where its accuracy on D_r is no higher than always naming D_r's largest class would be, three standard
deviations of a binomial allowed for. It collapsed where the original did not guess.
"""

from math import sqrt

import numpy as np

from salun_grid.analysis.metrics import Predictions, remaining_accuracy
from salun_grid.grid.specs import Evaluate, Unlearn

DEVIATIONS = 3.0


def collapse_note(job: Evaluate, predictions: Predictions, original_accuracy: float) -> str | None:
    """One sentence that names the setting to change, or None.

    `original_accuracy` is the original's in its last epoch, in percent. The original and retrains are no method's.
    """
    if not isinstance(job.subject, Unlearn):
        return None
    accuracy = remaining_accuracy(predictions)
    guessing = guessing_percent(predictions.labels["train"][~predictions.forgotten])
    if accuracy > guessing or original_accuracy <= guessing:
        return None
    return (
        f"{job.method} collapsed: its accuracy on D_r, {accuracy:.1f} %, is no higher than guessing gets "
        f"({guessing:.1f} %); {job.subject.advice}."
    )


def guessing_percent(labels: np.ndarray) -> float:
    """The accuracy that guessing may get on `labels`, in percent: the share of the largest class and DEVIATIONS."""
    share = np.bincount(labels).max() / len(labels)
    return 100 * float(share + DEVIATIONS * sqrt(share * (1 - share) / len(labels)))
