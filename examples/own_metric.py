"""A metric of your own from the logits of a run: python examples/own_metric.py runs/demo

Here: the mean probability that each model gives the true class of the forgotten images.
"""

import argparse

import numpy as np
import pyarrow.dataset as ds

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("out", help="the --out folder of a run")
out = parser.parse_args().out
names = ["dataset", "augmentation", "forget_rate", "seed", "method"]
runs = ds.dataset(f"{out}/results/runs").to_table(["job_key", *names]).sort_by([(name, "ascending") for name in names])
predictions = ds.dataset(f"{out}/results/predictions")
for run in runs.to_pylist():
    wanted = (ds.field("job_key") == run["job_key"]) & ds.field("forgotten")
    rows = predictions.to_table(["label", "logits"], filter=wanted)
    logits, labels = np.array(rows["logits"].to_pylist()), rows["label"].to_numpy()
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    probability = (exp / exp.sum(axis=1, keepdims=True))[np.arange(len(labels)), labels]
    print(*[run[name] for name in names], f"{probability.mean():.4f}", f"n = {len(labels)} images")
