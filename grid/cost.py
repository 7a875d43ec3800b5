"""What a plan will cost: by rates fitted to rows that landed, or by the arithmetic of its jobs and reference rates."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from grid import fit
from grid.fit import Measurement, Work
from grid.plan import Job, Plan
from trainables.forget import forget_count
from trainables.model import count_macs
from trainables.protocol import to_json

# What a job takes beside the seconds that its row counts: the hand-over to a warm process, publishing. From one row's
# landing to the next, on one busy slot of a Xeon, into a local folder: median 0.06 s, mean 0.2 s, n = 15.
UNCOUNTED_SECONDS = 0.1


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


@dataclass(frozen=True)
class Estimate:
    """Device-hours of a plan on one device, by `num_rows` rows of it.

    `errors` are the relative errors of rows held out from the fit, empty where one row is all there is; `unseen` is
    what the plan has and no row, so that the errors do not speak of it.
    """

    device: str
    hours: float
    hours_missing: float
    num_rows: int
    errors: np.ndarray
    unseen: tuple[str, ...]


def estimates(plan: Plan, missing: Iterable[Job], rows: Sequence[Measurement]) -> list[Estimate]:
    """One for each device among `rows`, which must be of the plan's kind, by the device's name."""
    works = plan_works(plan)
    left = [works[job.key] for job in missing]
    found = []
    for device in sorted({row.device for row in rows}):
        own = [row for row in rows if row.device == device]
        rates = fit.fit(own)
        hours, hours_missing = (_hours(rates, part) for part in (list(works.values()), left))
        errors = np.abs(fit.held_out(own, fit.random_groups(len(own))) - 1) if len(own) > 1 else np.empty(0)
        found.append(Estimate(device, hours, hours_missing, len(own), errors, _unseen(works.values(), own)))
    return found


def _hours(rates: fit.Rates, works: Sequence[Work]) -> float:
    return float(rates.seconds(works).sum() + UNCOUNTED_SECONDS * len(works)) / 3600 if works else 0.0


def _unseen(works: Iterable[Work], rows: Sequence[Measurement]) -> tuple[str, ...]:
    """What tells the plan's shapes from those of the rows, in words."""
    seen = {word for row in rows for word in _shape(row.work)}
    return tuple(sorted({word for work in works for word in _shape(work)} - seen))


def _shape(work: Work) -> tuple[str, ...]:
    return f"{work.image_size} px", f"width {work.width}", f"augmentation {work.augmentation}"


def plan_works(plan: Plan) -> dict[str, Work]:
    """The work of each job of a plan, by key."""
    protocol = json.loads(to_json(plan.study.protocol))
    works = {}
    for key, job in plan.jobs.items():
        info = plan.datasets[job.dataset]
        works[key] = fit.job_work(
            protocol,
            info.num_classes,
            info.image_size,
            job.method,
            job.augmentation,
            job.train_images,
            forget_count(job.forget_rate, info.num_images["train"]) if job.forget_rate else 0,
            info.num_images if job.forget_rate else None,
        )
    return works


def estimate_lines(plan: Plan, missing: Sequence[Job], rows: Sequence[Measurement], price: float | None) -> list[str]:
    """A line for each device among `rows`, which must be of the plan's kind, or for each reference rate without rows.

    `price` is for one device-hour, in any currency.
    """
    if rows:
        return [_fitted_line(estimate, price) for estimate in estimates(plan, missing, rows)]
    lines = []
    for rate in (CPU_CORE, GPU):
        hours = train_seconds(plan, rate) / 3600
        cost = "" if price is None else f"; {hours * price:,.2f} at {price:g} an hour"
        lines += [f"{hours:,.2f} {rate.device}-hours of training{cost} ({rate.source})"]
    return lines


def _fitted_line(estimate: Estimate, price: float | None) -> str:
    hours = (estimate.hours, estimate.hours_missing)
    text = "{:,.2f} device-hours in all, {:,.2f} still missing".format(*hours)
    if price is not None:
        text += "; {:,.2f} and {:,.2f}".format(*(part * price for part in hours)) + f" at {price:g} an hour"
    error = "unknown from one row"
    if len(estimate.errors):
        error = f"{100 * np.median(estimate.errors):.0f} % median, {100 * estimate.errors.max():.0f} % worst"
    unseen = f"; no row has {', '.join(estimate.unseen)}" if estimate.unseen else ""
    rows = f"fitted to {estimate.num_rows} row{'s' * (estimate.num_rows != 1)}"
    return f"{estimate.device}: {text} ({rows}; error of held-out rows {error}{unseen})"


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
