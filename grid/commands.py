"""The implementation of the `salun-grid` commands, without command-line parsing."""

import shlex
import warnings
from contextlib import nullcontext, suppress
from math import inf
from typing import Any

import click

from salun_grid.analysis.commands import answer_lines, draw_figure, tables_text
from salun_grid.grid import cost
from salun_grid.grid.execution import Execution
from salun_grid.grid.fit import Measurement
from salun_grid.grid.lock import DriverLock, held
from salun_grid.grid.measured import measurements
from salun_grid.grid.on_ray.access import check_access
from salun_grid.grid.plan import Plan, finished_jobs, make_plan, missing_jobs
from salun_grid.grid.specs import Evaluate, Probe, Train, Unlearn
from salun_grid.grid.stopping import Stop
from salun_grid.grid.store import Store
from salun_grid.grid.study import AXES, Study, checked, narrowed
from salun_grid.grid.study_file import find_study
from salun_grid.grid.work import Kind
from salun_grid.records.errors import InputError, ResultsWarning
from salun_grid.records.text import printable
from salun_grid.trainables.forget import Random

# The name of each kind of job in the output of `plan`.
KINDS = {"trainings": Train, "unlearnings": Unlearn, "evaluations": Evaluate, "probes": Probe}


def chosen_study(options: dict[str, Any]) -> tuple[Study, str]:
    """The checked study that the command line's `study_options` describe, and its out folder."""
    shorthands = {
        "model.architecture": options["architecture"],
        "training.epochs": options["epochs"],
        "unlearning.epochs": options["unlearning_epochs"],
        "image_size": options["image_size"],
    }
    given = [f"{field}={value}" for field, value in shorthands.items() if value is not None]
    axes = {axis: options[axis] for axis in AXES}
    axes["forget_sets"] = (*options["forget_sets"], *(Random(rate).label for rate in options["forget_rates"]))
    settings = [*given, *options["settings"]]
    study = narrowed(find_study(options["study"]), axes, settings, options["allow_empty_classes"], options["probes"])
    out = options["out"]
    return checked(study), f"runs/{study.name}" if out is None else out


def describe_plan(
    study: Study, out: str, measured: tuple[str, ...] = (), price: float | None = None, power: bool = False
) -> str:
    """The output of `plan`: cells, jobs, shared work, images and estimated cost of a study, one line each.

    The cost is fitted to the rows of the folders `measured`, or of `out` by default; `power` adds the seeds that each
    verdict needs, from the scatter in these folders.
    """
    if price is not None and not 0 < price < inf:
        raise InputError(f"--price must be a number above 0, the price of one device-hour, not {price:g}.")
    store = Store(out)
    store.check()
    plan = make_plan(study)
    jobs = list(plan.jobs.values())
    num_done = len(finished_jobs(plan, store))
    num_of = {name: sum(type(job) is kind for job in jobs) for name, kind in KINDS.items()}
    by_kind = [f"{count} {name}" for name, count in num_of.items() if count or name != "probes"]
    axes = " × ".join(f"{len(getattr(study, axis))} {axis.replace('_', ' ')}" for axis in AXES)
    lines = [f"study          {study.name} (protocol {study.protocol.name})"]
    lines += [f"precision      {found.name} ({found.reason})" for found in dict.fromkeys(plan.precisions.values())]
    for source, info in plan.datasets.items():
        counts = " / ".join(f"{info.num_images[split]:,}" for split in info.num_images)
        lines += [f"dataset        {source}: {counts} images, {info.num_classes} classes, {info.image_size} px"]
    lines += [
        f"cells          {plan.num_cells} ({axes})",
        f"jobs           {len(jobs)} ({', '.join(by_kind)}); {num_done} already done in {out}",
        f"shared         {plan.num_jobs_unshared - len(jobs)} jobs saved by sharing originals between cells",
        f"train images   {sum(job.work.train_images for job in jobs):,} (over all epochs)",
    ]
    lines += [f"note           {note}" for note in plan.notes]
    rows = measured_rows(plan, store, measured)
    lines += [f"estimate       {line}" for line in cost.estimate_lines(plan, missing_jobs(plan, store), rows, price)]
    if power:
        from salun_grid.grid.power import power_lines, scatter_for  # imports scikit-learn

        scatter = scatter_for(plan, measured or ((out,) if rows else ()))
        lines += [f"power          {line}" for line in power_lines(plan, scatter, cost.device_hours(plan, rows))]
    return "\n".join(map(printable, lines))


def measured_rows(plan: Plan, store: Store, folders: tuple[str, ...]) -> list[Measurement]:
    """The rows of `folders`, or of the store by default, that have one of the plan's precisions and its stem."""
    model = plan.study.protocol.model
    kinds = list(dict.fromkeys(Kind.of(found.of(model)) for found in plan.precisions.values()))
    own = (store.out,) if store.published_rows() else ()
    known = {info.fingerprint: info.num_images for info in plan.datasets.values()}
    try:
        found = measurements(folders or own, known)
    except InputError as error:
        if folders:
            raise
        # Only the estimate depends on them.
        warnings.warn(f"the rows of {store.out} are not used for the estimate: {error}", ResultsWarning, stacklevel=2)
        found = []
    rows = [row for row in found if row.work.kind in kinds and row.seconds > 0]
    if folders and not rows:
        wanted = " or ".join(map(str, kinds))
        raise InputError(f"no row of {', '.join(folders)} has {wanted}, as this study has; give other folders.")
    return rows


def run_study(study: Study, out: str, execution: Execution, stop: Stop) -> int:
    """Run the pending jobs and print the results; returns the exit status."""
    store = Store(out)
    store.check()
    store.check_keys()
    plan = make_plan(study)
    if execution.detail != "quiet":
        for note in plan.notes:
            click.echo(f"Note: {printable(note)}")
    missing = missing_jobs(plan, store)
    lock = DriverLock(store)
    if missing:
        lock.check()
    if missing and execution.address:
        check_access(execution.address, execution.allow_open_cluster)
    elif missing and not execution.local:
        from salun_grid.grid.on_ray.cluster import this_machine  # imports Ray

        this_machine().check(execution, max(map(execution.workers_of, missing)))
    # The folder of a finished study may be read-only.
    with nullcontext() if missing else suppress(InputError):
        store.create()
        store.publish_study(plan.summary())
    status = 0
    if missing:
        from salun_grid.grid.session import run_missing

        with held(lock):
            status = run_missing(plan, missing, store, execution, lock, stop)
    elif execution.detail != "quiet":
        click.echo(f"Nothing to do: all {len(plan.jobs)} jobs of {study.name} are done in {out}.")
    if status == 0 and execution.detail != "quiet":
        print_results(out)
    return status


def print_results(out: str) -> None:
    """Print the folder's tables, the path of its figure, the next command, and the verdict on each method."""
    click.echo(tables_text(out))
    try:
        click.echo(f"figure   {', '.join(str(path) for path in draw_figure(out) if path.suffix == '.png')}")
    except (InputError, OSError) as error:
        click.echo(printable(f"figure   none: {error}"))
    click.echo(f"report   salun-analysis report {shlex.quote(out)}")
    try:
        answer = answer_lines(out)
    except InputError as error:
        answer = [f"verdicts none: {error}"]
    click.echo("".join(f"\n{printable(line)}" for line in answer))
