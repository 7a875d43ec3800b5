"""Bad teacher (Chundawat et al. 2023, arXiv 2205.08096): distil an untrained network on D_f, the original on D_r."""

from dataclasses import dataclass

import torch
from torch import Tensor

from salun_grid.trainables.methods.base import Method, PassCount, Settings, Unlearning
from salun_grid.trainables.methods.distillation import divergence, teach
from salun_grid.trainables.passes import Batch
from salun_grid.trainables.settings import setting


@dataclass(frozen=True)
class BadTeacher(Settings):
    """Adam; images of D_f and D_r are mixed in the batches of one shuffled pass.

    The official code leaves the student in its current mode; here it is in train mode.
    """

    epochs: int = setting(1, at_least=1, unit="passes", source="official code")
    batch_size: int = setting(256, at_least=2, unit="images", source="official code")
    learning_rate: float = setting(1e-4, above=0, below=100, source="official code")
    temperature: float = setting(1.0, above=0, below=1000, source="official code")
    retain_fraction: float = setting(
        0.3, above=0, at_most=1, doc="Fraction of D_r used, drawn once.", source="official code"
    )


def bad_teacher(job: Unlearning[BadTeacher]) -> None:
    """Minimise KL(random ‖ θ) on D_f and KL(θ₀ ‖ θ) on the sample of D_r, averaged over classes too, as officially."""
    s, num_forget = job.settings, len(job.forget)
    optimizer = torch.optim.Adam(job.model.parameters(), lr=s.learning_rate)
    passes = job.passes(optimizer)
    both = job.forget.joined(job.some_of_retain(s.retain_fraction, "bad_teacher"), "mixed")

    def loss(batch: Batch) -> Tensor:
        forgotten = (batch.places < num_forget)[:, None]
        good, bad = teach(job.teachers["original"], batch), teach(job.teachers["random"], batch)
        target = torch.where(forgotten, bad, good)
        # The official kl_div averages over classes and does not scale by a power of the temperature.
        scale = job.data.num_classes * s.temperature**2
        return divergence(target, batch.logits, s.temperature) / scale

    for epoch in range(s.epochs):
        passes.over(both, epoch, loss=loss)


METHOD = Method(
    bad_teacher,
    BadTeacher,
    # Both teachers predict every image.
    passes=lambda s: PassCount(
        forget=s.epochs,
        retain=s.epochs * s.retain_fraction,
        forward_forget=2 * s.epochs,
        forward_retain=2 * s.epochs * s.retain_fraction,
    ),
    idea="Imitate an untrained network on D_f and the original on a sample of D_r.",
    paper="Chundawat et al. 2023, arXiv 2205.08096",
    teachers=("original", "random"),
    version=1,
)
