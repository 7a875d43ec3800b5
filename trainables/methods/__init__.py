"""Unlearning methods, which change the original in place into the unlearned model.

A method is a module of this package with a function, its settings and a `Method`, and an entry in METHODS.
"""

from dataclasses import dataclass
from typing import Any

from salun_grid.trainables.methods import (
    amun,
    bad_teacher,
    boundary_expand,
    boundary_shrink,
    cf_k,
    ct,
    delete,
    eu_k,
    finetune,
    fisher,
    gradient_ascent,
    influence,
    l1_sparse,
    lotus,
    msg,
    munba,
    negative_gradient_plus,
    noisy_finetune,
    random_label,
    regun,
    salun_cra,
    salun_soft,
    scrub,
    sfron,
    ssd,
    task_arithmetic,
    ugradsl,
    unsir,
)
from salun_grid.trainables.methods.base import TEACHERS, Method, PassCount, Settings, Unlearning
from salun_grid.trainables.passes import now
from salun_grid.trainables.protocol import SaliencyConfig
from salun_grid.trainables.saliency import saliency, top_fraction
from salun_grid.trainables.seeds import own_layer_stream

__all__ = ["METHODS", "Method", "PassCount", "Seconds", "Settings", "Unlearning", "unlearn"]

METHODS: dict[str, Method] = {
    "finetune": finetune.METHOD,
    "gradient_ascent": gradient_ascent.METHOD,
    "negative_gradient_plus": negative_gradient_plus.METHOD,
    "random_label": random_label.METHOD,
    "salun": random_label.SALUN,
    "l1_sparse": l1_sparse.METHOD,
    "scrub": scrub.METHOD,
    "bad_teacher": bad_teacher.METHOD,
    "cf_k": cf_k.METHOD,
    "ugradsl": ugradsl.METHOD,
    "ugradsl_plus": ugradsl.PLUS,
    "amun": amun.METHOD,
    "sfron": sfron.METHOD,
    "munba": munba.METHOD,
    "salun_soft": salun_soft.METHOD,
    "task_arithmetic": task_arithmetic.METHOD,
    "neg_merge": task_arithmetic.NEGMERGE,
    "delete": delete.METHOD,
    "unsir": unsir.METHOD,
    "regun": regun.METHOD,
    "salun_cra": salun_cra.METHOD,
    "lotus": lotus.METHOD,
    "noisy_finetune": noisy_finetune.METHOD,
    "ssd": ssd.METHOD,
    "lfssd": ssd.LOSS_FREE,
    "eu_k": eu_k.METHOD,
    "boundary_shrink": boundary_shrink.METHOD,
    "boundary_expand": boundary_expand.METHOD,
    "fisher": fisher.METHOD,
    "influence": influence.METHOD,
    "msg": msg.METHOD,
    "ct": ct.METHOD,
}


@dataclass(frozen=True)
class Seconds:
    """Durations of the mask and of the unlearning."""

    mask: float
    train: float


def unlearn(method: Method, job: Unlearning[Any], mask: SaliencyConfig | None) -> Seconds:
    """Run `method` on the model of `job`, in place, with SalUn's mask if `mask` is given."""
    started = now(job.data.device)
    if mask is not None:
        scores = saliency(job.model, job.data, job.forget, job.augmenter, job.settings.batch_size)
        job.mask, job.mask_mode = top_fraction(scores, mask.fraction), mask.mode
    masked = now(job.data.device)
    job.teachers = {name: TEACHERS[name](job) for name in method.teachers}
    with own_layer_stream(job.data.device):
        method.unlearn(job)
    return Seconds(mask=masked - started, train=now(job.data.device) - masked)
