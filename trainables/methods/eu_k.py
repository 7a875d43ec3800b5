"""EU-k (Goel et al. 2022, arXiv 2201.06640): reinitialise the last k blocks and train them on D_r."""

from dataclasses import dataclass, replace
from typing import Any

from salun_grid.trainables.architectures import build_model
from salun_grid.trainables.methods.base import Method, PassCount, Unlearning
from salun_grid.trainables.methods.cf_k import LastBlocks, blocks_of, only_last_blocks
from salun_grid.trainables.protocol import TrainingConfig
from salun_grid.trainables.settings import setting
from salun_grid.trainables.training import train


@dataclass(frozen=True)
class ExactUnlearningK(LastBlocks):
    """SGD as in training from scratch; BatchNorm's running statistics follow D_r in every block."""

    milestones: tuple[float, ...] = setting(
        (),
        above=0,
        below=1,
        rising=True,
        unit="fractions of epochs, rising",
        doc="When the learning rate falls to a tenth.",
    )


def eu_k(job: Unlearning[ExactUnlearningK]) -> None:
    """Reinitialise the last k blocks and minimise CE_r over their weights, with the other blocks frozen at θ₀.

    Initialisation, order and augmentation are those of a training from scratch with the unlearning seed: with all
    blocks and the retrain's settings and seeds, the result equals the retrain bit for bit.
    """
    s, model = job.settings, job.model
    draw_anew(job, s.k)
    config = TrainingConfig(s.epochs, s.batch_size, s.learning_rate, s.momentum, s.weight_decay, s.milestones)
    seeds = replace(job.seeds, order=job.seeds.unlearning)
    with only_last_blocks(model, s.k):
        train(model, job.data, job.retain.indices, config, job.augmenter, seeds, job.on_epoch, forward=job.forward)


def draw_anew(job: Unlearning[Any], k: int) -> None:
    """Load the last k blocks from a freshly initialised model with the unlearning seed."""
    model: Any = job.model
    fresh = build_model(model.config, job.data.num_classes, job.seeds.unlearning)
    for block, new in zip(blocks_of(model)[-k:], blocks_of(fresh)[-k:], strict=True):
        block.load_state_dict(new.state_dict())


METHOD = Method(
    eu_k,
    ExactUnlearningK,
    passes=lambda s: PassCount(retain=s.epochs),
    idea="Reinitialise the last k blocks and train them on D_r.",
    paper="Goel et al. 2022, arXiv 2201.06640",
    takes_mask=False,
    version=1,
)
