"""What a plan will cost, from the arithmetic of its jobs and two reference rates."""

from collections.abc import Callable
from dataclasses import dataclass

from grid.plan import Job, Plan
from trainables.model import count_macs


@dataclass(frozen=True)
class Rate:
    """Seconds to train on one image: fixed + per_gmac · (GMAC of the forward pass)."""

    device: str
    seconds_fixed: float
    seconds_per_gmac: float
    source: str


# Fitted to four measured points (8 and 28 px, both stems, widths 16 and 64) on one core of an AMD EPYC
# (Zen 5), torch 2.15, fp32, one thread; it met them within 35 %.
CPU_CORE = Rate("CPU core", 0.15e-3, 40e-3, "measured on one AMD EPYC (Zen 5) core, fp32; good to a factor of 2")
# Not measured: 5 % of an H100-class GPU's bf16 peak (about 990 TFLOP/s), a usual figure for plain loops.
GPU = Rate("GPU", 2e-5, 3 * 2e9 / 50e12, "assumed 50 TFLOP/s sustained, not measured; good to a factor of 3")


def train_seconds(plan: Plan, rate: Rate) -> float:
    """Estimated device seconds of all training in a plan; evaluation is not counted."""
    per_image = image_seconds(plan, rate)
    return sum(job.train_images * per_image[job.dataset] for job in plan.jobs.values())


def seconds_of(plan: Plan, rate: Rate) -> Callable[[Job], float]:
    """Estimates one job's device seconds, evaluation included: what the order of the jobs goes by.

    Evaluation is a forward pass over every image of the dataset, a third of the arithmetic of training on it.
    """
    per_image = image_seconds(plan, rate)
    num_images = {source: sum(info.num_images.values()) for source, info in plan.datasets.items()}

    def seconds(job: Job) -> float:
        evaluated = 0 if job.kind == "original" else num_images[job.dataset]
        return per_image[job.dataset] * (job.train_images + evaluated / 3)

    return seconds


def image_seconds(plan: Plan, rate: Rate) -> dict[str, float]:
    """Seconds to train on one image of each dataset."""
    model = plan.study.protocol.model
    macs = {source: count_macs(model, info.num_classes, info.image_size) for source, info in plan.datasets.items()}
    return {source: rate.seconds_fixed + rate.seconds_per_gmac * count / 1e9 for source, count in macs.items()}
