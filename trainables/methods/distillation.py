"""The loss of distillation methods: Kullback–Leibler divergence between teacher and student predictions."""

import torch
from torch import Tensor, nn

from salun_grid.trainables.passes import Batch


def teach(teacher: nn.Module, batch: Batch) -> Tensor:
    """The logits of a frozen teacher, float (B, num_classes)."""
    with torch.no_grad():
        return teacher(batch.images)


def divergence(teacher: Tensor, student: Tensor, temperature: float = 1.0) -> Tensor:
    """T² · KL(softmax(teacher / T) ‖ softmax(student / T)) of each image, float (B,) (Hinton et al. 2015)."""
    target = torch.log_softmax(teacher / temperature, 1)
    found = torch.log_softmax(student / temperature, 1)
    return (target.exp() * (target - found)).sum(1) * temperature**2
