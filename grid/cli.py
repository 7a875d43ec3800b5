"""`salun-grid`: plan, run and follow a study."""

import sys
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console

from analysis.cli import draw_figure
from analysis.errors import ResultsError
from analysis.gaps import summarise
from analysis.results import read_runs
from analysis.tables import make_tables, provenance_of, to_terminal
from grid import cost
from grid.plan import Job, Plan, make_plan
from grid.store import Store
from grid.study import AXES, Study, checked, find_study, narrowed
from trainables.errors import InputError

INTERRUPTED = 130


class Commands(click.Group):
    """Turns a user's mistake into one sentence and exit status 2."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (InputError, ResultsError) as error:
            raise click.UsageError(str(error)) from None


@click.group(cls=Commands)
def main() -> None:
    """An experiment grid for machine unlearning on medical images."""


def study_options(command: Callable) -> Callable:
    """STUDY and the options that narrow or change it."""
    several = " Repeat the option for several."
    options = [
        click.argument("study", default="demo"),
        click.option("--dataset", "datasets", multiple=True, help="MedMNIST's name, digits, or a path to .npz." + several),
        click.option("--forget-rate", "forget_rates", type=float, multiple=True, help="Part of D_i to forget." + several),
        click.option("--augmentation", "augmentations", multiple=True, help="none, default or default+ra." + several),
        click.option("--seed", "seeds", type=int, multiple=True, help="Seed of the cell." + several),
        click.option("--method", "methods", multiple=True, help="original, retrain, salun." + several),
        click.option("--epochs", type=int, help="Epochs of original and retrain (training.epochs)."),
        click.option("--unlearning-epochs", type=int, help="Epochs of the unlearning (unlearning.epochs)."),
        click.option("--image-size", type=int, help="Side in pixels; 0 is the dataset's own (image_size)."),
        click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Any protocol field." + several),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def chosen_study(study: str, settings: tuple[str, ...], **options: object) -> Study:
    """The study that the options of `study_options` describe, checked."""
    shorthands = {
        "training.epochs": options["epochs"],
        "unlearning.epochs": options["unlearning_epochs"],
        "image_size": options["image_size"],
    }
    given = [f"{field}={value}" for field, value in shorthands.items() if value is not None]
    axes = {axis: options[axis] for axis in AXES}
    return checked(narrowed(find_study(study), axes, [*given, *settings]))  # type: ignore[arg-type]


@main.command()
@study_options
@click.option("--out", help="Folder of the results  [default: runs/STUDY]")
def plan(out: str | None, **options: object) -> None:
    """Print what STUDY would run and what it would cost. Starts nothing."""
    study = chosen_study(**options)  # type: ignore[arg-type]
    print_plan(make_plan(study), Store(out or f"runs/{study.name}"))


def print_plan(plan: Plan, store: Store) -> None:
    """The study's cells, jobs, sharing, images and estimated cost."""
    study, jobs = plan.study, list(plan.jobs.values())
    store.check()
    done = finished_jobs(plan, store)
    by_kind = [(kind, sum(job.kind == kind for job in jobs)) for kind in ("original", "retrain", "unlearn")]
    images = sum(job.train_images for job in jobs)
    click.echo(f"study          {study.name} (protocol {study.protocol.name})")
    for source, info in plan.datasets.items():
        counts = " / ".join(f"{info.num_images[split]:,}" for split in info.num_images)
        click.echo(f"dataset        {source}: {counts} images, {info.num_classes} classes, {info.image_size} px")
    axes = " × ".join(f"{len(getattr(study, axis))} {axis.replace('_', ' ')}" for axis in AXES)
    click.echo(f"cells          {plan.num_cells} ({axes})")
    click.echo(f"jobs           {len(jobs)} ({', '.join(f'{n} {kind}' for kind, n in by_kind)}); {len(done)} already done")
    click.echo(f"shared         {plan.num_jobs_unshared - len(jobs)} originals that cells share are trained once")
    click.echo(f"train images   {images:,} (all epochs together)")
    for rate in (cost.CPU_CORE, cost.GPU):
        hours = cost.train_seconds(plan, rate) / 3600
        click.echo(f"estimate       {hours:,.2f} {rate.device}-hours of training ({rate.source})")


def finished_jobs(plan: Plan, store: Store) -> set[str]:
    """Keys of the plan's jobs that are published."""
    models, rows = store.published_models(), store.published_rows()
    return {key for key, job in plan.jobs.items() if key in (models if job.kind == "original" else rows)}


def missing_jobs(plan: Plan, done: set[str]) -> list[Job]:
    """What is left to do. An original whose dependents are all done is not needed again."""
    needed = {need for key, job in plan.jobs.items() if key not in done for need in job.needs}
    return [
        job for key, job in plan.jobs.items() if key not in done and (job.kind != "original" or key in needed)
    ]


@main.command()
@study_options
@click.option("--out", help="Folder of the results  [default: runs/STUDY]")
@click.option("--address", help="Address of a Ray cluster that is already up  [default: a local one]")
@click.option("--cpus-per-job", type=click.FloatRange(min=0, min_open=True), help="CPUs that a job holds  [default: 1]")
@click.option("--gpus-per-job", type=click.FloatRange(min=0), help="GPUs, or a part of one  [default: 1 where there are]")
def run(
    out: str | None, address: str | None, cpus_per_job: float | None, gpus_per_job: float | None, **options: object
) -> None:
    """Run what STUDY lacks in its folder, then print its table and draw its figure.

    The same command again does only what is missing.
    """
    study = chosen_study(**options)  # type: ignore[arg-type]
    plan = make_plan(study)
    out = out or f"runs/{study.name}"
    store = Store(out)
    store.check()
    store.create()
    missing = missing_jobs(plan, finished_jobs(plan, store))
    if missing:
        from grid.session import run_missing

        status = run_missing(plan, missing, out, address, cpus_per_job, gpus_per_job)
        if status:
            sys.exit(status)
    else:
        click.echo(f"Nothing to do: all {len(plan.jobs)} jobs of {study.name} are done in {out}.")
    print_results(plan, out)


def print_results(plan: Plan, out: str) -> None:
    """The tables of this study's rows, the figure's path, and what to type next."""
    keys = plan.jobs.keys()
    runs = [run for run in read_runs(out) if run["job_key"] in keys]
    Console(soft_wrap=True).print(to_terminal(make_tables(summarise(runs), provenance_of(runs))), markup=False)
    try:
        click.echo(f"figure   {draw_figure(out)[0]}")
    except ResultsError as error:
        click.echo(f"figure   none: {error}")
    click.echo(f"report   salun-analysis report {out}")


@main.command()
@click.option("--out", required=True, help="Folder of the results.")
def status(out: str) -> None:
    """Say what has landed in a folder. Works while a run goes on, and on another machine."""
    store = Store(out)
    store.check()
    if not Path(out).exists():
        raise InputError(f"there is no folder {out}; give the --out folder of a run.")
    for path in sorted(store.path("studies").glob("*.json")):
        import json

        keys = json.loads(path.read_text())
        models, rows = store.published_models(), store.published_rows()
        originals = sum(key in models for key in keys["original"])
        evaluated = sum(key in rows for key in keys["retrain"] + keys["unlearn"])
        total = sum(map(len, keys.values()))
        click.echo(f"{path.stem}: {originals + evaluated}/{total} jobs done ({originals} originals, {evaluated} rows)")
