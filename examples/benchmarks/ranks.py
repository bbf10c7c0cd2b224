"""Scores of one layer, and an epoch, on one rank, on two, and on one with two threads.

``make bench`` runs it. torchrun starts the ranks on this machine, one thread each; what
is timed is a call of hessian_scores, or a fit of one epoch with ``distributed=True``,
the slowest rank's, after one that does not count.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import warnings

import numpy as np
import torch
import torch.distributed as dist
from measure import machine, print_table, seconds
from torch import nn
from torch.nn import functional as F

from sklearn_hessreg import HessianRegularizedMLPClassifier, hessian_scores

CASES = {
    "scores": (  # units of the layer, its inputs, samples
        (200, 500, 512),
        (500, 1000, 256),
    ),
    "epoch": (  # units of two hidden layers, inputs, rows of a batch
        (500, 784, 200),
        (500, 784, 2000),
        (1000, 784, 2000),
    ),
}
ROWS = 20000  # of an epoch
WAYS = ((1, 1), (2, 1), (1, 2))  # ranks, threads each


def scoring(out, fan_in, N):
    """Return a call that scores a layer behind ReLU, with ReLU behind it."""
    torch.manual_seed(0)
    X, y = torch.randn(N, fan_in).relu(), torch.randint(0, 10, (N,))
    net = nn.Sequential(nn.Linear(fan_in, out), nn.ReLU(), nn.Linear(out, 10))
    return lambda: hessian_scores(net, F.cross_entropy, X, y, layers=["0"])


def training(units, fan_in, batch):
    """Return a call that trains an epoch on this rank's share of the rows."""
    rng, ranks = np.random.default_rng(dist.get_rank()), dist.get_world_size()
    X = rng.standard_normal((ROWS // ranks, fan_in), "float32")
    y = np.arange(len(X)) % 10
    clf = HessianRegularizedMLPClassifier(
        (units, units), k=0, max_iter=1, batch_size=batch, distributed=True
    )
    return lambda: clf.fit(X, y)


MAKERS = {"scores": scoring, "epoch": training}


def work(kind, case, threads, repeats):
    """Time a case on this rank; the first one prints the slowest rank's seconds."""
    torch.set_num_threads(threads)
    dist.init_process_group("gloo")
    warnings.simplefilter("ignore")  # an epoch is not to converge
    call, times = MAKERS[kind](*case), []
    for _ in range(repeats + 1):
        dist.barrier()
        start = time.perf_counter(), time.process_time()
        call()
        times.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    medians = [statistics.median(way) for way in zip(*times[-repeats:], strict=True)]
    slowest = torch.tensor(medians, dtype=torch.float64)
    dist.all_reduce(slowest, op=dist.ReduceOp.MAX)
    if dist.get_rank() == 0:
        print(json.dumps(slowest.tolist()), flush=True)
    dist.destroy_process_group()


def on_ranks(ranks, threads, kind, case, repeats):
    """Start the ranks; return the slowest one's seconds, on the clock and computing."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={ranks}", __file__, kind, "--case", *map(str, case)]
    command += ["--threads", str(threads), "--repeats", str(repeats)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def row(kind, case, repeats):
    """Time a case in all ways."""
    one, *others = [on_ranks(*way, kind, case, repeats) for way in WAYS]
    out, fan_in, N = case
    ratios = [f"{wall / one[0]:.2f}" for wall, _ in others]
    computing = f"{others[0][1] / one[1]:.2f}"
    return [f"{fan_in} to {out}, N = {N}", seconds(one[0]), *ratios, computing]


def main():
    """Print the table, or do a rank's work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", nargs="?", choices=CASES)
    parser.add_argument("--case", nargs=3, type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    if "RANK" in os.environ:
        work(options.kind, options.case, options.threads, options.repeats)
        return
    print(machine())
    for kind in [options.kind] if options.kind else CASES:
        cases = [options.case] if options.case else CASES[kind]
        rows = [row(kind, case, options.repeats) for case in cases]
        columns = [kind, "one rank", "two ranks / one", "two threads / one"]
        columns += ["processor time of a rank, two / one"]
        print_table(f"{kind} on several ranks", columns, rows)


if __name__ == "__main__":
    main()
