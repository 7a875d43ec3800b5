"""SCRUB (Kurmanji et al. 2023, arXiv 2302.09880): diverge from the original on D_f, stay close to it on D_r."""

from dataclasses import dataclass

from salun_grid.trainables.methods.base import Iterative, Method, PassCount, Unlearning
from salun_grid.trainables.methods.distillation import divergence, teach
from salun_grid.trainables.passes import cross_entropy
from salun_grid.trainables.settings import setting

OFFICIAL = "official code"


@dataclass(frozen=True)
class Scrub(Iterative):
    """SGD; the teacher is the original."""

    learning_rate: float = setting(5e-4, above=0, below=100, source=OFFICIAL)
    alpha: float = setting(0.5, at_least=0, below=100, doc="Weight of the divergence on D_r.", source=OFFICIAL)
    gamma: float = setting(
        1.0, at_least=0, below=100, doc="Weight of the cross-entropy on D_r.", source="official code"
    )
    temperature: float = setting(4.0, above=0, below=1000, source=OFFICIAL)
    ascent_epochs: int = setting(
        3,
        at_least=0,
        unit="passes over D_f",
        doc="First epochs, which also maximise the divergence on D_f.",
        source="official code",
    )
    decay_epochs: tuple[float, ...] = setting(
        (3.0, 5.0, 9.0),
        at_least=0,
        rising=True,
        unit="epochs, rising",
        doc="Epochs at which the learning rate falls to a tenth.",
    )


def scrub(job: Unlearning[Scrub]) -> None:
    """Maximise KL(θ₀ ‖ θ) on D_f in the first epochs, and minimise α · KL + γ · CE on D_r in every epoch."""
    s, teacher = job.settings, job.teachers["original"]
    optimizer = job.sgd()
    passes = job.passes(optimizer)
    for epoch in range(s.epochs):
        for group in optimizer.param_groups:
            group["lr"] = s.learning_rate * 0.1 ** sum(epoch >= decay for decay in s.decay_epochs)
        if epoch < s.ascent_epochs:
            passes.over(job.forget, epoch, loss=lambda b: -divergence(teach(teacher, b), b.logits, s.temperature))
        passes.over(
            job.retain,
            epoch,
            loss=lambda b: (
                s.alpha * divergence(teach(teacher, b), b.logits, s.temperature) + s.gamma * cross_entropy(b)
            ),
        )


METHOD = Method(
    scrub,
    Scrub,
    passes=lambda s: PassCount(
        forget=min(s.ascent_epochs, s.epochs),
        retain=s.epochs,
        forward_forget=min(s.ascent_epochs, s.epochs),
        forward_retain=s.epochs,
    ),
    idea="Diverge from the original on D_f, stay close to it on D_r.",
    paper="Kurmanji et al. 2023, arXiv 2302.09880",
    teachers=("original",),
    version=1,
)
