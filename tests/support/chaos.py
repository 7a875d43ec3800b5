"""A small study on a cluster of three nodes while workers, drivers and whole nodes are killed at random.

`python -m tests.support.chaos --seeds 0 1 2 --kills 8` prints a line a seed. Nothing may be lost, nothing done twice.
"""

import argparse
import os
import random
import subprocess
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pyarrow as pa
import torch

from salun_grid.analysis.results import open_table
from salun_grid.grid.on_ray.environment import configure
from salun_grid.grid.on_ray.private import allow_cluster
from salun_grid.grid.plan import make_plan
from salun_grid.grid.store import Store
from salun_grid.grid.study import narrowed
from salun_grid.grid.study_file import find_study
from tests.support.processes import grid_command
from tests.support.small_data import write_small_npz
from tests.support.studies import OF_ONE_RUN, run_without_ray

# isort: split
from ray.cluster_utils import Cluster

SETTINGS = ["training.epochs=60", "unlearning.epochs=5", "model.width=4"]
configure()
allow_cluster(True)
ENVIRONMENT = os.environ | {"COLUMNS": "200", "OMP_NUM_THREADS": "1"}


@dataclass
class Chaos:
    """Kills of each kind, seen from outside: `published` is when each finished file was first written."""

    npz: Path
    out: Path
    random: random.Random
    kills: Counter = field(default_factory=Counter)
    published: dict[Path, int] = field(default_factory=dict)
    rewritten: set[Path] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}, connect=False
        )
        self.nodes = [self.cluster.add_node(num_cpus=1) for _ in range(3)]
        self.driver = self.start_driver()

    def start_driver(self) -> subprocess.Popen:
        words = ["run", "digits", "--dataset", str(self.npz), "--augmentation", "default", "--seed", "0", "--seed", "1"]
        words += [word for setting in SETTINGS for word in ("--set", setting)]
        words += ["--address", self.cluster.address, "--allow-open-cluster", "--out", str(self.out)]
        with self.out.with_suffix(".log").open("a") as log:
            return subprocess.Popen(grid_command(*words), stdout=log, stderr=log, env=ENVIRONMENT)

    def jobs(self) -> list[psutil.Process]:
        """The processes that do a job now, on any node."""
        return [child for node in self.nodes for child in jobs_below(node.all_processes)]

    def kill_worker(self) -> None:
        if processes := self.jobs():
            self.random.choice(processes).kill()
            self.kills["workers"] += 1

    def kill_driver(self) -> None:
        self.driver.kill()
        self.driver.wait()
        self.kills["drivers"] += 1

    def kill_node(self) -> None:
        """A spot machine is taken away and another one comes."""
        node = self.nodes.pop(self.random.randrange(len(self.nodes)))
        self.cluster.remove_node(node, allow_graceful=False)
        self.nodes.append(self.cluster.add_node(num_cpus=1))
        self.kills["nodes"] += 1

    def look(self) -> None:
        """Note what is published, and what was written again since the last look."""
        for path in [*self.out.glob("results/runs/[!.]*.parquet"), *self.out.glob("models/*/manifest.json")]:
            written = path.stat().st_mtime_ns
            if self.published.setdefault(path, written) != written:
                self.rewritten.add(path)

    def run(self, num_kills: int, deadline_seconds: float) -> bool:
        """Kill `num_kills` times while jobs are at work, then let the rest be done; False where it never ends."""
        kinds = [self.kill_worker, self.kill_driver, self.kill_node]
        deadline, next_kill = time.monotonic() + deadline_seconds, float("inf")
        while time.monotonic() < deadline:
            self.look()
            status = self.driver.poll()
            if status == 0:
                return True
            if status is not None:
                self.driver = self.start_driver()
            if next_kill == float("inf") and self.kills.total() < num_kills and self.jobs():
                next_kill = time.monotonic() + self.random.uniform(0, 4)
            elif time.monotonic() > next_kill:
                self.random.choice(kinds)()
                next_kill = float("inf")
            time.sleep(0.2)
        return False

    def close(self) -> None:
        self.driver.kill()
        self.driver.wait()
        self.cluster.shutdown()


def jobs_below(processes: dict) -> list[psutil.Process]:
    """The processes under those of a Ray node that do a job."""
    found = []
    for infos in processes.values():
        for info in infos:
            with suppress(psutil.NoSuchProcess):
                below = psutil.Process(info.process.pid).children(recursive=True)
                found += [child for child in below if "ray::ImplicitFunc" in " ".join(child.cmdline())]
    return found


def landed(out: Path) -> tuple[pa.Table, pa.Table]:
    """`runs` without times, and `predictions`, in an order of their own."""
    runs = open_table(out, "runs").to_table().drop_columns([*OF_ONE_RUN, "command"]).sort_by("job_key")
    keys = [("job_key", "ascending"), ("split", "ascending"), ("index", "ascending")]
    predictions = open_table(out, "predictions").to_table()
    return runs, predictions.set_column(1, "split", predictions["split"].cast(pa.string())).sort_by(keys)


def survive(seed: int, num_kills: int, folder: Path, deadline_seconds: float = 900) -> Chaos:
    """One study through `num_kills` random kills. Raises AssertionError where something is lost, doubled or other."""
    torch.set_num_threads(1)  # as each job has; another number sums in another order
    npz, undisturbed = write_small_npz(folder / "small.npz"), folder / "undisturbed"
    axes = {"datasets": (str(npz),), "augmentations": ("default",), "seeds": (0, 1)}
    run_without_ray(make_plan(narrowed(find_study("digits"), axes, SETTINGS)), Store(str(undisturbed)))
    chaos = Chaos(npz, folder / "out", random.Random(seed))
    try:
        finished = chaos.run(num_kills, deadline_seconds)
    finally:
        chaos.close()
    assert finished, chaos.out.with_suffix(".log").read_text()
    assert not chaos.rewritten, sorted(path.relative_to(chaos.out) for path in chaos.rewritten)
    for ours, wanted in zip(landed(chaos.out), landed(undisturbed), strict=True):
        differing = [name for name in wanted.column_names if not ours[name].equals(wanted[name])]
        assert not differing, differing
    return chaos


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--kills", type=int, default=8)
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            started = time.monotonic()
            chaos = survive(seed, arguments.kills, Path(folder))
            kills = ", ".join(f"{count} {kind}" for kind, count in sorted(chaos.kills.items()))
            rows = len(list(chaos.out.glob("results/runs/*.parquet")))
            print(
                f"seed {seed}: killed {kills}; {rows} rows landed, 0 lost, 0 finished jobs done twice, "
                f"{time.monotonic() - started:.0f} s",
                flush=True,
            )
