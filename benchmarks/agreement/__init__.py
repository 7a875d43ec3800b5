"""Comparison of each method with its authors' code on the same weights, images, batches and labels, in float64 on CPU.

Each family of methods has a module of this package with COMPARISONS. The authors' code is imported from a checkout
that the user provides; none of it is part of this project.
"""

from benchmarks.agreement import attacks, challenge, distillation, importance, last_blocks, salun
from benchmarks.agreement.comparison import Comparison

__all__ = ["COMPARISONS"]

COMPARISONS: dict[str, Comparison] = {
    **salun.COMPARISONS,
    **distillation.COMPARISONS,
    **importance.COMPARISONS,
    **challenge.COMPARISONS,
    **last_blocks.COMPARISONS,
    **attacks.COMPARISONS,
}
