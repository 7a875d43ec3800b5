"""Benchmark of reading large results: 10,000 rows of `runs`, and the predictions of 100 models.

`python -m benchmarks.reading` prints the seconds and the peak memory.
"""

import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.folders import METHODS, make_rows, write
from benchmarks.measure import Result, interleaved

NUM_RUNS, NUM_MODELS = 10_000, 100

# A typical script that reads file by file; it computes means without gaps, intervals or checks.
BY_HAND = """
import sys
from pathlib import Path
import pandas
runs = pandas.concat(pandas.read_parquet(path) for path in sorted(Path(sys.argv[1], "results", "runs").iterdir()))
axes = ["dataset", "forget_rate", "augmentation", "method"]
print(runs.groupby(axes)[["ua", "ra", "ta", "mia", "seconds_total"]].agg(["mean", "std"]).to_csv())
"""


def reading(repetitions: int) -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        many, few = Path(folder, "many"), Path(folder, "few")
        datasets, augmentations = [f"set{i}" for i in range(25)], ["none", "default", "default+ra", "other"]
        rows = make_rows(datasets, [0.1, 0.3, 0.5, 0.7, 0.9], augmentations, range(5))
        assert len(rows) == NUM_RUNS
        write(many, rows, num_models=1)
        write(few, make_rows(["set"], [0.5], ["none"], range(NUM_MODELS // len(METHODS))), NUM_MODELS)
        tables: dict[str, Callable[[], object]] = {
            "pandas, file by file, means only": partial(python, "-c", BY_HAND, str(many)),
            "salun-analysis tables": partial(
                python, "-m", "salun_grid.analysis", "tables", str(many), "--format", "csv"
            ),
            "salun-analysis verdicts": partial(
                python, "-m", "salun_grid.analysis", "verdicts", str(many), "--format", "csv"
            ),
        }
        metrics: dict[str, Callable[[], object]] = {
            "all metrics": partial(python, "-m", "salun_grid.analysis", "metrics", str(few)),
            "offline RMIA alone": partial(
                python, "-m", "salun_grid.analysis", "metrics", str(few), "--metric", "auc_rmia"
            ),
        }
        return [
            Result(f"the table of {NUM_RUNS:,} runs", "runs", NUM_RUNS, interleaved(tables, repetitions)),
            Result(
                f"{NUM_MODELS} models × 20,000 predictions", "models", NUM_MODELS, interleaved(metrics, repetitions)
            ),
        ]


def python(*words: str) -> None:
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    for result in reading(repetitions=1):
        for variant, (seconds,) in result.seconds.items():
            print(f"{result.case}, {variant}: {seconds:.1f} s")
    peak_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"largest process: {peak_kib / 2**20:.2f} GiB")
