"""What a re-initialisation takes, against one pass of its samples: one table.

``python score_events.py`` prints it alone. An event is what the estimator does between
two epochs: it draws the samples, scores the weights, selects and redraws. A pass is
forward and backward of the same samples through the same network, in bare torch.
"""

import statistics
import time
import warnings
from copy import deepcopy

import torch
from measure import machine, print_table
from score_cases import images
from torch.nn import functional as F

from sklearn_hessreg import HessianRegularizedMLPClassifier

PAPER, SMALL = (1000, 1000, 500, 200), (100,)
CURVATURES = ("mean_loss", "per_sample")
LAYERS = (1, 2, 3, 5)
REPEATS, LIMIT = 9, 10.0  # events of a kind, fewer if they take more seconds


def labelled(X, classes):
    """Label samples by the largest of as many random functions of them."""
    generator = torch.Generator().manual_seed(0)
    functions = torch.randn(X.shape[1], classes, generator=generator)
    return ((X - X.mean(0)) @ functions).argmax(1)


def trained(hidden, classes):
    """Train a network on all samples; return the estimator, samples and labels."""
    if hidden == PAPER:
        X, epochs = images()[0], 2
    else:
        generator = torch.Generator().manual_seed(0)
        X, epochs = torch.randn(20000, 30, generator=generator), 10
    y = labelled(X, classes)
    net = HessianRegularizedMLPClassifier(
        hidden, k=0, reinit_every=1, hessian_samples=None, random_state=0
    )
    for _ in range(epochs):
        net.partial_fit(X.numpy(), y.numpy(), classes=list(range(classes)))
    return net, X, y


def pass_seconds(net, X, y):
    """Time a forward and a backward pass."""
    module, times = net.net_.module_, []
    for _ in range(REPEATS + 2):
        module.zero_grad()
        start = time.perf_counter()
        F.cross_entropy(module(X), y).backward()
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])


def event_seconds(net, X, y, n, curvature):
    """Time events of one kind, each at the start of an epoch on these samples."""
    net = deepcopy(net).set_params(
        k=10, n=n, curvature=curvature, optimizer_state="keep", batch_size=len(X)
    )
    net.partial_fit(X.numpy(), y.numpy())  # an epoch with which a cycle ends
    times, started = [], time.perf_counter()
    while len(times) < REPEATS + 2 and time.perf_counter() - started < LIMIT:
        net.partial_fit(X.numpy(), y.numpy())
        times.append(net.reinit_history_[-1]["seconds"])
    return statistics.median(times[2:] or times)


def rows_of(hidden, classes):
    """Measure all events of one network, and write a row for each number of samples."""
    net, *data = trained(hidden, classes)
    for samples in (256, 1024):
        X, y = (part[:samples].clone() for part in data)
        unit = pass_seconds(net, X, y)
        row = ["-".join(map(str, hidden)), f"{classes:,}", f"{samples:,}"]
        row.append(f"{1000 * unit:.2f} ms")
        for curvature in CURVATURES:
            for n in LAYERS:
                if n > len(hidden) + 1 or (curvature == "mean_loss" and n > 3):
                    row.append("-")
                    continue
                seconds = event_seconds(net, X, y, n, curvature)
                row.append(
                    f"{seconds / unit:.2g}"
                    if seconds < 99 * unit
                    else f"{seconds / unit:.0f}"
                )
        yield row


def main():
    """Measure all networks and print the table."""
    warnings.simplefilter("ignore")  # of what an event costs
    torch.set_num_threads(1)  # both ways gain from more, the larger one more so
    columns = ["network, ReLU", "C", "samples", "pass"]
    columns += [f"{c}, n={n}" for c in CURVATURES for n in LAYERS]
    rows = [
        row
        for hidden in (PAPER, SMALL)
        for classes in (10, 100, 1000)
        for row in rows_of(hidden, classes)
    ]
    print_table("events in passes of their samples, one thread", columns, rows)


if __name__ == "__main__":
    print(machine())
    main()
