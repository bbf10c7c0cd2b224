"""Time of training: ours, bare torch, MLPClassifier, skorch; and of the method in it.

``make bench`` runs it. The ways take turns; each figure is the median of the fits, in
milliseconds an epoch. The small networks run on one thread, the paper's on all.
"""

import statistics
import warnings
from functools import partial

import numpy as np
import torch
from measure import machine, medians_in_turn, print_table
from mnist import load_mnist
from sklearn.datasets import make_classification
from sklearn.neural_network import MLPClassifier
from skorch import NeuralNet
from threadpoolctl import threadpool_limits
from torch import nn
from torch.nn import functional as F

from sklearn_hessreg import HessianRegularizedMLPClassifier

SMALL = (  # rows, rows of a batch, epochs
    (20000, 200, 4),
    (2000, 32, 8),
    (500, 200, 40),
    (500, 32, 20),
)
PAPER = (1000, 1000, 500, 200)


def make_net(inputs, hidden, outputs, dtype):
    """Make a ReLU network that returns logits."""
    sizes = (inputs, *hidden)
    layers = []
    for fan_in, fan_out in zip(sizes, hidden, strict=False):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], outputs)).to(dtype)


def task(X, y, hidden):
    """Return the network, the targets in torch's form and the loss for y."""
    classes = len(np.unique(y))
    dtype = torch.from_numpy(X).dtype
    net = make_net(X.shape[1], hidden, 1 if classes == 2 else classes, dtype)
    if classes == 2:
        target = torch.from_numpy(y.astype(X.dtype))[:, None]
        return net, target, F.binary_cross_entropy_with_logits
    return net, torch.from_numpy(y.astype("int64")), F.cross_entropy


def bare_torch(X, y, hidden, batch_size, epochs):
    """Train in a plain loop with the fused Adam, reading every loss."""
    net, target, loss_function = task(X, y, hidden)
    X = torch.from_numpy(X)
    optimizer = torch.optim.Adam(net.parameters(), fused=True)
    for _ in range(epochs):
        for rows in torch.randperm(len(X)).split(batch_size):
            optimizer.zero_grad()
            loss = loss_function(net(X[rows]), target[rows])
            loss.backward()
            optimizer.step()
            loss.item()


def skorch_defaults(X, y, hidden, batch_size, epochs):
    """Train a skorch net as its documentation does."""
    net, target, _ = task(X, y, hidden)
    binary = target.ndim == 2
    NeuralNet(
        net,
        nn.BCEWithLogitsLoss if binary else nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=1e-3,
        max_epochs=epochs,
        batch_size=batch_size,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    ).fit(X, target.numpy())


def train(estimator, X, y, hidden, batch_size, epochs, **options):
    """Train an estimator for a number of epochs, whatever the loss does."""
    clf = estimator(
        hidden,
        batch_size=batch_size,
        max_iter=epochs,
        tol=0,
        n_iter_no_change=1000,
        random_state=0,
        **options,
    )
    return clf.fit(X, y)


def mlp_classifier(*run):
    """Train scikit-learn's MLPClassifier."""
    train(MLPClassifier, *run)


def ours(*run):
    """Train the estimator without the method."""
    train(HessianRegularizedMLPClassifier, *run, k=0)


def milliseconds(ways, run, repeats):
    """Time all ways in turn: milliseconds an epoch."""
    seconds = medians_in_turn([partial(way, *run) for way in ways], repeats)
    return {way: 1000 * s / run[-1] for way, s in zip(ways, seconds, strict=True)}


def number(value):
    """Write a number with three digits, or all before the point."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def report(title, runs, ways, repeats):
    """Print the table of some runs, with our time over the others'."""
    rows = []
    for label, run in runs.items():
        found = milliseconds(ways, run, repeats)
        ratios = [f"{found[ours] / found[w]:.2f}" for w in (bare_torch, mlp_classifier)]
        cells = [number(value) for value in found.values()]
        rows.append([label, *cells, *ratios])
    names = [way.__name__.replace("_", " ") for way in ways]
    columns = ["data", *names, "ours / torch", "ours / MLP"]
    print_table(f"{title}, milliseconds an epoch", columns, rows)


def report_events(title, runs):
    """Print what one re-initialisation takes beside an epoch, as it comes.

    By default a cycle has eleven epochs at least.
    """
    rows = []
    for label, run in runs.items():
        epoch = milliseconds([ours], run, 3)[ours]
        clf = train(HessianRegularizedMLPClassifier, *run[:-1], 5, reinit_every=1)
        event = 1000 * statistics.median(r["seconds"] for r in clf.reinit_history_)
        share = event / (event + 11 * epoch)
        rows.append([label, number(event), number(epoch), f"{share:.1%}"])
    columns = ["data", "event, ms", "epoch with k=0, ms", "share of a cycle at most"]
    print_table(f"{title}: one re-initialisation", columns, rows)


def small_runs():
    """Make the runs of the network of 20 features and 100 hidden units."""
    runs = {}
    for n, batch_size, epochs in SMALL:
        X, y = make_classification(n, 20, n_informative=10, random_state=0)
        for dtype in ("float32", "float64"):
            label = f"{n:,} rows, batch {batch_size}, {dtype}"
            runs[label] = (X.astype(dtype), y, (100,), batch_size, epochs)
    return runs


def paper_runs():
    """Make the runs of the paper's network on MNIST."""
    X, y, *_ = load_mnist()
    return {
        f"60,000 images, batch 200, {dtype}": (X.astype(dtype), y, PAPER, 200, 1)
        for dtype in ("float32", "float64")
    }


def main():
    """Print the tables."""
    warnings.filterwarnings("ignore", message="Maximum iterations")
    warnings.filterwarnings("ignore", message="Stochastic Optimizer")
    ways = (bare_torch, mlp_classifier, skorch_defaults, ours)
    print(machine())
    threads = torch.get_num_threads()
    with threadpool_limits(1):
        torch.set_num_threads(1)
        runs = small_runs()
        report("20 features, 100 hidden units, 1 thread", runs, ways, 7)
        report_events("20 features, 100 hidden units, 1 thread", runs)
    torch.set_num_threads(threads)
    title = f"1000-1000-500-200 units, {threads} threads"
    runs = paper_runs()
    report(title, runs, (bare_torch, mlp_classifier, ours), 3)
    report_events(title, dict([*runs.items()][:1]))


if __name__ == "__main__":
    main()
