"""Each method beside its authors' code: the same weights, images, batches and labels, in float64 on the CPU.

A family of methods is a module of this package with its COMPARISONS. The authors' code is read from a checkout that
the user gives; none of it is part of this project.
"""

from benchmarks.agreement import attacks, challenge, distillation, importance, salun
from benchmarks.agreement.comparison import Comparison

__all__ = ["COMPARISONS"]

COMPARISONS: dict[str, Comparison] = {
    **salun.COMPARISONS,
    **distillation.COMPARISONS,
    **importance.COMPARISONS,
    **challenge.COMPARISONS,
    **attacks.COMPARISONS,
}
