"""Predicted cost of a plan: from rates fitted to published rows, or from its arithmetic and reference rates."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from salun_grid.grid import fit
from salun_grid.grid.fit import Measurement
from salun_grid.grid.plan import Plan
from salun_grid.grid.specs import Spec
from salun_grid.grid.work import Work

# Per-job time that its row does not count: hand-over to a warm process and publishing. Between consecutive published
# rows, on one busy slot of a Xeon, into a local folder: median 0.06 s, mean 0.2 s, n = 15.
UNCOUNTED_SECONDS = 0.1


@dataclass(frozen=True)
class Rate:
    """Training time per image, in seconds: fixed + per_gmac · (GMAC of the forward pass)."""

    device: str
    seconds_fixed: float
    seconds_per_gmac: float
    source: str

    def seconds_of(self, job: Spec) -> float:
        """Estimated device-seconds of a job; jobs are ordered by it.

        Evaluation is a forward pass over every image, a third of the arithmetic of training on it.
        """
        work = job.work
        per_image = self.seconds_fixed + self.seconds_per_gmac * work.gmac
        return per_image * (work.passed_images + work.eval_images / 3)


# Fitted to four measured points (8 and 28 px, both stems, widths 16 and 64) on one core of an AMD EPYC
# (Zen 5), torch 2.15, fp32, one thread; within 35 % of each.
CPU_CORE = Rate("CPU core", 0.15e-3, 40e-3, "measured on one AMD EPYC (Zen 5) core, fp32; good to a factor of 2")
# One point: 15,631 images/s on an H200, bf16, 3×3 stem, 64 px, width 64 (docs/performance.md). Fixed: assumed.
GPU = Rate("GPU", 2e-5, (1 / 15_631 - 2e-5) / 2.222, "one point of one H200, bf16 at 64 px; good to a factor of 3")


@dataclass(frozen=True)
class Estimate:
    """Predicted device-hours of a plan on one device, fitted to `num_rows` of its rows.

    `errors` are the relative errors on rows held out of the fit, empty if there is only one row. `unseen` lists the
    shapes of the plan that no row has, which `errors` therefore does not cover.
    """

    device: str
    hours: float
    hours_missing: float
    num_rows: int
    errors: np.ndarray
    unseen: tuple[str, ...]


def estimates(plan: Plan, missing: Iterable[Spec], rows: Sequence[Measurement]) -> list[Estimate]:
    """One estimate per device among `rows`, which must be of the plan's kind, sorted by device name."""
    works = {key: job.work for key, job in plan.jobs.items()}
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
    """The shapes that occur in the plan and in no row, in words."""
    seen = {word for row in rows for word in _shape(row.work)}
    return tuple(sorted({word for work in works for word in _shape(work)} - seen))


def _shape(work: Work) -> tuple[str, ...]:
    return f"{work.image_size} px", f"width {work.width}", f"augmentation {work.augmentation}"


def estimate_lines(plan: Plan, missing: Sequence[Spec], rows: Sequence[Measurement], price: float | None) -> list[str]:
    """One line per device among `rows`, which must be of the plan's kind; without rows, one per reference rate.

    `price` is the price of one device-hour, in any currency.
    """
    if rows:
        return [_fitted_line(estimate, price) for estimate in estimates(plan, missing, rows)]
    lines = []
    for rate in (CPU_CORE, GPU):
        hours = _training_hours(plan, rate)
        cost = "" if price is None else f"; {hours * price:,.2f} at {price:g} an hour"
        lines += [f"{hours:,.2f} {rate.device}-hours of training{cost} ({rate.source})"]
    return lines


def device_hours(plan: Plan, rows: Sequence[Measurement]) -> float:
    """Hours of the whole plan on the first device among `rows`, or on one core of the reference rate without rows."""
    if rows:
        return estimates(plan, [], rows)[0].hours
    return _training_hours(plan, CPU_CORE)


def _training_hours(plan: Plan, rate: Rate) -> float:
    return sum(rate.seconds_of(job) for job in plan.jobs.values() if job.makes == "model") / 3600


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
