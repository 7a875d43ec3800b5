"""The command line `salun-grid`: plan, run and follow a study. Imports only click, so that `--help` is fast."""

import sys

import click

from salun_grid.analysis.command_line import Commands
from salun_grid.grid.data_cli import data
from salun_grid.grid.stopping import stoppable
from salun_grid.grid.study_options import study_options
from salun_grid.records.text import printable

# Installed by the extra `grid`; the base install has only the analysis.
GRID_PACKAGES = {"medmnist", "psutil", "ray", "safetensors", "torch", "torchvision"}


class GridCommands(Commands):
    """Command group that reports a missing extra `grid` in one line."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package not in GRID_PACKAGES:
                raise
            raise click.UsageError(
                f"this command needs {package}, which the extra `grid` installs: pip install '.[grid]' in a checkout "
                "of salun-grid."
            ) from None


@click.group(cls=GridCommands)
@click.version_option(package_name="salun-grid")
def main() -> None:
    """An experiment grid for machine unlearning on medical images."""


main.add_command(data)


@main.command()
@study_options
@click.option(
    "--measured",
    multiple=True,
    metavar="DIR",
    help="Folder or bucket with results to fit the cost to; repeat the option for several  [default: --out]",
)
@click.option("--price", type=float, help="Price of one device-hour, in any currency.")
@click.option(
    "--power",
    is_flag=True,
    help="Also show how many seeds each verdict needs, and their cost, from existing rows or typical scatter.",
)
def plan(measured: tuple[str, ...], price: float | None, power: bool, **options: object) -> None:
    """Show the jobs of STUDY and their predicted cost, without running anything.

    STUDY is demo, digits, paper, strict, methods, or a path to a .toml file. The cost is predicted from published
    results, one line per device, or from reference rates if there are none.
    """
    from salun_grid.grid.commands import chosen_study, describe_plan

    study, out = chosen_study(options)
    click.echo(describe_plan(study, out, measured, price, power))


@main.command()
@study_options
@click.option(
    "--address",
    envvar="RAY_ADDRESS",
    show_envvar=True,
    help="HOST:PORT of a running Ray cluster's head node, auto for the cluster running on this machine, or local to "
    "start one here  [default: local]",
)
@click.option(
    "--allow-open-cluster",
    is_flag=True,
    help="Join a cluster that has no token: anyone on its network can run code on it.",
)
@click.option("--cpus-per-job", type=float, help="CPUs per job  [default: 1]")
@click.option(
    "--gpus-per-job",
    type=float,
    help="GPUs per job: a whole number, or a fraction of one  [default: 1 if there are GPUs, else 0]",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Data-parallel workers per training; each gets the per-job resources.",
)
@click.option(
    "--compile", is_flag=True, help="Compile the model with torch.compile; the first job on each machine waits for it."
)
@click.option("--local", is_flag=True, help="Run the jobs one by one in this process, without Ray.")
@click.option("--quiet", "-q", "detail", flag_value="quiet", help="Report only failures.")
@click.option(
    "--verbose", "-v", "detail", flag_value="verbose", help="Also print a line for each job start and each epoch."
)
@click.option("detail", "--normal", flag_value="normal", default="normal", hidden=True)
def run(
    address: str | None,
    allow_open_cluster: bool,
    cpus_per_job: float | None,
    gpus_per_job: float | None,
    workers: int,
    compile: bool,
    local: bool,
    detail: str,
    **options: object,
) -> None:
    """Run the jobs of STUDY that have no result yet, then print the tables and draw the figure of the folder.

    STUDY is demo, digits, paper, strict, methods, or a path to a .toml file. Rerunning the same command resumes it.
    """
    with stoppable() as stop:
        from salun_grid.grid.commands import chosen_study, run_study
        from salun_grid.grid.execution import Execution

        joined = None if address in ("", "local") else address
        execution = Execution(joined, cpus_per_job, gpus_per_job, workers, compile, detail, allow_open_cluster, local)
        study, out = chosen_study(options)
        sys.exit(run_study(study, out, execution, stop))


@main.command()
@click.option("--out", required=True, help="Folder or bucket of the results.")
def status(out: str) -> None:
    """Show the progress of the studies in a folder, and whether a run is active there, on any machine."""
    from salun_grid.grid.status import describe_status

    click.echo(describe_status(out))


@main.command()
def doctor() -> None:
    """Check this machine and print the details for a bug report. The exit status is 1 if there is a problem."""
    from salun_grid.grid.doctor import findings

    problems = []
    for found in findings():
        click.echo(printable(f"{found.name:<10} {found.text}"))
        problems += [found.problem] if found.problem else []
    for problem in dict.fromkeys(problems):
        click.echo(printable(f"Problem: {problem}"), err=True)
    sys.exit(1 if problems else 0)


@main.command()
def settings() -> None:
    """List the protocol's settings: default, range, unit, meaning and source."""
    from salun_grid.grid.catalogue import list_settings

    click.echo(list_settings())


@main.command()
@click.option("--markdown", is_flag=True, help="Print the page docs/methods.md.")
@click.option(
    "--measured",
    metavar="DIR",
    help="With --markdown: folder or bucket of a study of all methods, for their RTE relative to retraining.",
)
def methods(markdown: bool, measured: str | None) -> None:
    """List the unlearning methods: cost in passes, settings with range and default, paper."""
    if markdown:
        from salun_grid.grid.methods_page import methods_page

        click.echo(methods_page(measured))
        return
    from salun_grid.grid.catalogue import list_methods

    click.echo(list_methods())


@main.command()
def probes() -> None:
    """List the probes: what each measures, settings with range and default, cost, paper."""
    from salun_grid.grid.catalogue import list_probes

    click.echo(list_probes())


@main.command()
def architectures() -> None:
    """List the architectures: parameters, cost per image, training recipe, source."""
    from salun_grid.grid.catalogue import list_architectures

    click.echo(list_architectures())


@main.command()
def datasets() -> None:
    """List the datasets: images per split, classes, channels and sizes."""
    from salun_grid.grid.catalogue import list_datasets

    click.echo(list_datasets())


@main.command("forget-rules")
def forget_rules() -> None:
    """List the forget rules: syntax, and which images each forgets."""
    from salun_grid.grid.catalogue import list_forget_rules

    click.echo(list_forget_rules())


@main.command()
@click.argument("model_key", required=False)
@click.option("--out", required=True, help="Folder or bucket of the results.")
@click.option("--to", help="New folder for the two files of the model  [default: ./MODEL_KEY]")
def export(model_key: str | None, out: str, to: str | None) -> None:
    """Copy a published model's safetensors and manifest; without MODEL_KEY, list the models.

    An unambiguous prefix of a key is enough.
    """
    from salun_grid.grid.export import export_model, list_models

    click.echo(export_model(out, model_key, to) if model_key is not None else list_models(out))
