"""`python -m benchmarks.performance [NAME …]`: run the speed benchmarks and update docs/performance.md.

Problem sizes are small on a CPU (some 26 minutes on 2 cores) and full on a GPU. Each kind of device has its own part of
the page and its own figure; benchmarks that are not rerun keep their results.
"""

import argparse
import json
import re
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from benchmarks import engine, importance, membership, precision, reading, salun, sharing, whole
from benchmarks.measure import DEVICE, Result, hardware, number, table

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9"]  # Okabe and Ito's colour-blind-safe palette


@dataclass(frozen=True)
class Benchmark:
    """A benchmark; `measure` gets the number of repetitions, by default `repetitions`."""

    title: str
    measure: Callable[[int], list[Result]]
    repetitions: int


BENCHMARKS: dict[str, Benchmark] = {
    "training": Benchmark("An epoch of training", engine.training, 3),
    "salun": Benchmark("SalUn, whole and in parts", salun.salun, 3),
    "importance": Benchmark("Masks, Fisher diagonals and influence", importance.importance, 3),
    "membership": Benchmark("The membership attack over draws", membership.membership, 5),
    "precision": Benchmark("bf16 on a CPU", precision.precision, 5),
    "study": Benchmark("A whole small study", whole.small_study, 3),
    "input": Benchmark("The input pipeline alone", engine.pipeline, 5),
    "job": Benchmark("A job beyond its compute", whole.tiny_jobs, 3),
    "analysis": Benchmark("Reading large results", reading.reading, 3),
    "workers": Benchmark("One training by several workers", sharing.workers, 3),
    "packing": Benchmark("Several trainings on one device", sharing.packing, 3),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the speed benchmarks and update docs/performance.md.")
    parser.add_argument("names", nargs="*", choices=[[], *BENCHMARKS], help="benchmarks to run (all)")
    parser.add_argument(
        "--repetitions", type=int, help="timed runs of each variant, instead of each benchmark's default"
    )
    arguments = parser.parse_args()
    kept_in = PAGE.parent / f"performance_{DEVICE.type}.json"
    kept = json.loads(kept_in.read_text()) if kept_in.exists() else {}
    for name in arguments.names or BENCHMARKS:
        benchmark = BENCHMARKS[name]
        results = benchmark.measure(arguments.repetitions or benchmark.repetitions)
        about = f"{hardware()} {datetime.now(UTC):%Y-%m-%d}."
        kept[name] = {"about": about, "results": [asdict(result) for result in results]}
        kept_in.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        print(section(name, kept[name]), flush=True)
    refresh(kept)


def refresh(kept: dict) -> None:
    """Write the saved results to the page and the figure."""
    text = "\n\n".join(section(name, kept[name]) for name in BENCHMARKS if name in kept)
    markers = re.compile(f"(?<=<!-- {DEVICE.type} -->\n).*(?=<!-- /{DEVICE.type} -->)", re.DOTALL)
    picture = f"![Images a second and ratios](performance_{DEVICE.type}.svg)"
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(markers.sub(lambda _: f"\n{picture}\n\n{text}\n\n", page), encoding="utf-8")
    draw(kept)


def results_of(entry: dict) -> list[Result]:
    return [Result(**result) for result in entry["results"]]


def section(name: str, entry: dict) -> str:
    """The heading, table and environment note of one benchmark."""
    results = results_of(entry)
    rows = [
        [result.case if variant == result.reference else "", variant, *figures(result, variant)]
        for result in results
        for variant in result.seconds
    ]
    counts = {len(times) for result in results for times in result.seconds.values()}
    n = " or ".join(map(str, sorted(counts)))
    header = ["case", "variant", "throughput/s (min–max)", "seconds", "speed-up"]
    note = f"Medians of n = {n} interleaved repetitions. {entry['about']}"
    return f"### {BENCHMARKS[name].title}\n\n{table(header, rows)}\n\n{note}"


def figures(result: Result, variant: str) -> list[str]:
    median, slowest, quickest = result.rates(variant)
    rate = f"{number(median)} {result.unit} ({number(slowest)}–{number(quickest)})"
    return [rate, number(statistics.median(result.seconds[variant])), f"{result.ratio(variant):.2f}"]


# --- the picture ----------------------------------------------------------------------------------------------


def draw(kept: dict) -> None:
    drawn = [name for name in BENCHMARKS if name in kept]
    heights = [sum(len(result.seconds) + 1 for result in results_of(kept[name])) for name in drawn]
    figure = Figure(figsize=(9, 0.22 * sum(heights) + 0.9 * len(drawn)), layout="constrained")
    axes = figure.subplots(len(drawn), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, name in zip(axes, drawn, strict=True):
        bars(axis, results_of(kept[name]))
        axis.set_title(BENCHMARKS[name].title, loc="left", fontsize=9)
    figure.supxlabel(f"speed-up over the first of each group; {kept[drawn[-1]]['about']}", fontsize=6)
    FigureCanvasSVG(figure).print_svg(PAGE.parent / f"performance_{DEVICE.type}.svg", metadata={"Date": None})


def bars(axis: Axes, results: list[Result]) -> None:
    """Draw a bar per variant with its speed-up and the range of the repetitions."""
    position, positions, labels = 0.0, [], []
    for result in results:
        reference = statistics.median(result.seconds[result.reference])
        for colour, (variant, times) in zip(COLOURS, result.seconds.items(), strict=False):
            ratio = result.ratio(variant)
            spread = [[ratio - reference / max(times)], [reference / min(times) - ratio]]
            axis.barh(position, ratio, color=colour, xerr=spread, ecolor="#444444", height=0.8)
            positions.append(position)
            labels.append(f"{result.case} · {variant}" if variant == result.reference else variant)
            position += 1
        position += 0.6
    axis.set_yticks(positions, labels, fontsize=6)
    axis.set_ylim(position, -1)
    axis.axvline(1, color="grey", linewidth=0.8)
    if max(result.ratio(variant) for result in results for variant in result.seconds) > 20:
        axis.set_xscale("log")
    axis.tick_params(axis="x", labelsize=6)


if __name__ == "__main__":
    main()
