"""`python -m benchmarks.scale`: the cost of planning, scheduling and the driver as studies grow.

Prints the tables, writes them to docs/scale.md between its markers, and draws docs/scale.svg. Takes some 15 minutes on
2 cores, nearly all of it for the driver's trials; `--trials 100 1000` is shorter. Driver runs are cached in runs/scale;
delete one there to measure it again.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from benchmarks import planning
from benchmarks.measure import hardware, table
from benchmarks.planning import STEPS, Planning
from benchmarks.simulation import AMPLE, SCARCE, Outcome, Shape, gpus, simulate

ROOT = Path(__file__).parent.parent
DOCS, RUNS = ROOT / "docs", ROOT / "runs" / "scale"
SIZES = (100, 1_000, 10_000, 100_000)
REPETITIONS = 5
# Number of equal parts of a run for the spread of the cost per trial.
PARTS = 10
WHOSE = {"ours": "as salun-grid sets it", "tune": "with Tune's defaults"}
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7"]  # Okabe and Ito's colour-blind-safe palette


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Measure the cost of planning, scheduling and the driver as studies grow."
    )
    parser.add_argument(
        "--trials", type=int, nargs="*", default=[100, 1_000, 10_000], help="sizes of the driver's runs"
    )
    trials = parser.parse_args().trials
    plans = [planning.measure(size, REPETITIONS) for size in SIZES]
    outcomes = {
        (name, shape): simulate(shape.plan(), gpus(shape.num_gpus), pending=shape.pending)
        for name, shape in {**AMPLE, **SCARCE}.items()
    }
    drivers = [(whose, run_driver(num_trials, whose)) for whose in WHOSE for num_trials in trials]
    text = "\n\n".join([hardware(), plan_table(plans), outcome_table(outcomes), driver_table(drivers)])
    print(text)
    page = DOCS / "scale.md"
    markers = re.compile(r"(?<=<!-- measured -->\n).*(?=<!-- /measured -->)", re.DOTALL)
    page.write_text(markers.sub(lambda _: f"\n{text}\n\n", page.read_text(encoding="utf-8")), encoding="utf-8")
    draw(plans, drivers)


def run_driver(num_trials: int, whose: str) -> dict[str, Any]:
    """The result of one run in its own process, with the machine's load at the start; cached in RUNS."""
    kept = RUNS / f"{whose}-{num_trials}.json"
    if not kept.exists():
        load = os.getloadavg()[0]
        command = [sys.executable, "-m", "benchmarks.driver", str(num_trials), whose]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        RUNS.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps({"load": load, **json.loads(done.stdout.splitlines()[-1])}))
    return json.loads(kept.read_text())


def plan_table(plans: list[Planning]) -> str:
    """The table of planning: median and range of CPU seconds."""
    rows = [
        [f"{plan.num_cells:,}", f"{plan.num_jobs:,}"]
        + [f"{plan.median(step):.3g} ({min(s):.3g}–{max(s):.3g})" for step in STEPS for s in [plan.seconds[step]]]
        + [f"{plan.bytes_a_job:,.0f}"]
        for plan in plans
    ]
    header = ["cells", "jobs", "plan", "pending jobs", "graph", "dispatch", "bytes per job"]
    note = f"Planning, CPU seconds: median of n = {REPETITIONS} and range. Half of the rows are already published."
    return f"{note}\n\n{table(header, rows)}"


def outcome_table(outcomes: dict[tuple[str, Shape], Outcome]) -> str:
    rows = []
    for (name, shape), outcome in outcomes.items():
        sizes = [shape.plan().num_cells, len(shape.plan().jobs), shape.num_gpus]
        ratios = [f"{outcome.ratio:.4f}", f"{outcome.promise / outcome.lower_bound:.2f}"]
        rows += [[name, *(f"{size:,}" for size in sizes), f"{outcome.makespan / 3600:,.2f} h", *ratios]]
    header = ["study", "cells", "jobs", "GPUs", "makespan", "÷ lower bound", "bound of list scheduling"]
    note = "Simulated makespans (n = 1: the simulation is deterministic), half of the GPUs twice as fast as the others."
    return f"{note}\n\n{table(header, rows)}"


def driver_table(drivers: list[tuple[str, dict[str, Any]]]) -> str:
    rows = [
        [WHOSE[whose], f"{run['num_trials']:,}"]
        + [spread(costs(run[clock])) for clock in ("driver_cpu_at", "finished_at")]
        + [f"{sum(run['snapshot_seconds']):.1f} s in {len(run['snapshot_seconds'])}", f"{run['bytes'] / 1e6:.1f} MB"]
        + [f"{run['peak_mib']:,.0f} MiB", f"{run['load']:.0f}"]
        for whose, run in drivers
    ]
    header = [
        "driver",
        "trials",
        "CPU ms a trial",
        "ms a trial",
        "snapshots",
        "the last",
        "peak memory",
        "load",
    ]
    note = (
        f"The driver, trials that are empty on 2 CPUs, n = 1 run of each: median of its {PARTS} equal parts, and in "
        "brackets its first and its last. Tune's defaults are its own scheduler and snapshots. The load is the "
        "machine's as the run began."
    )
    return f"{note}\n\n{table(header, rows)}"


def costs(times: list[float]) -> list[float]:
    """Milliseconds per trial in each of PARTS equal parts of a run."""
    marks = [round(part * (len(times) - 1) / PARTS) for part in range(PARTS + 1)]
    return [1e3 * (times[b] - times[a]) / (b - a) for a, b in pairwise(marks)]


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} ({values[0]:.1f} … {values[-1]:.1f})"


def draw(plans: list[Planning], drivers: list[tuple[str, dict[str, Any]]]) -> None:
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    planning_panel(left, plans)
    simulation_panel(middle)
    driver_panel(right, drivers)
    notes = (
        f"Planning: median and range, n = {REPETITIONS}. Scheduling: simulated, half of the GPUs twice as fast, n = 1. "
        f"Driver: means of {PARTS} equal parts of one run."
    )
    figure.supxlabel(f"{notes}\n{hardware()}", fontsize=7)
    FigureCanvasSVG(figure).print_svg(DOCS / "scale.svg", metadata={"Date": None})


def planning_panel(axis: Axes, plans: list[Planning]) -> None:
    cells = [plan.num_cells for plan in plans]
    for step, colour in zip(STEPS, COLOURS, strict=True):
        axis.plot(cells, [plan.median(step) for plan in plans], "o-", color=colour, label=step)
        least, most = ([end(plan.seconds[step]) for plan in plans] for end in (min, max))
        axis.fill_between(cells, least, most, color=colour, alpha=0.3, linewidth=0)
    axis.set(xscale="log", yscale="log", xlabel="cells", ylabel="CPU seconds", title="Planning")
    axis.legend(frameon=False)


def simulation_panel(axis: Axes) -> None:
    """Plot makespan over lower bound on 256 GPUs as the study grows."""
    shapes = [Shape(num_cells) for num_cells in (72, 300, 600, 1_000, 1_500, 2_000, 3_000, 5_000, 10_000, 20_000)]
    outcomes = [simulate(shape.plan(), gpus(shape.num_gpus)) for shape in shapes]
    jobs = [len(shape.plan().jobs) / shape.num_gpus for shape in shapes]
    promises = [outcome.promise / outcome.lower_bound for outcome in outcomes]
    axis.plot(jobs, promises, "--", color=COLOURS[1], label="bound of list scheduling")
    axis.plot(jobs, [outcome.ratio for outcome in outcomes], "o-", color=COLOURS[0], label="longest chain first")
    axis.axhline(1.05, color="grey", linewidth=0.8, label="1.05")
    axis.set(xscale="log", xlabel="jobs a GPU (256 GPUs)", ylabel="makespan ÷ lower bound", title="Scheduling")
    axis.set_ylim(top=3.5)  # room for the legend
    axis.legend(frameon=False)


def driver_panel(axis: Axes, drivers: list[tuple[str, dict[str, Any]]]) -> None:
    """Plot CPU milliseconds per trial during the largest run of each kind."""
    for (whose, label), colour in zip(WHOSE.items(), COLOURS, strict=False):
        run = max((run for kind, run in drivers if kind == whose), key=lambda run: run["num_trials"])
        trials = [(part + 0.5) * run["num_trials"] / PARTS for part in range(PARTS)]
        axis.plot(trials, costs(run["driver_cpu_at"]), "o-", color=colour, label=label)
    axis.set(xlabel="trials done", ylabel="driver's CPU ms a trial", title="Driver")
    axis.set_ylim(bottom=0)
    axis.legend(frameon=False, loc="lower right")


if __name__ == "__main__":
    main()
