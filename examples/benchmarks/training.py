"""Seconds an epoch of a small network: ours, bare torch, MLPClassifier, skorch.

``make bench`` runs it, on one thread. The ways take turns; each figure is the median of
five fits, in milliseconds an epoch.
"""

import statistics
import time
import warnings

import numpy as np
import torch
from measure import machine, print_table
from sklearn.datasets import make_classification
from sklearn.neural_network import MLPClassifier
from skorch import NeuralNetBinaryClassifier
from threadpoolctl import threadpool_limits
from torch import nn
from torch.nn import functional as F

from sklearn_hessreg import HessianRegularizedMLPClassifier

SIZES = (  # rows, rows of a batch, epochs
    (20000, 200, 4),
    (2000, 32, 8),
    (500, 200, 40),
)
PARAMS = {
    "hidden_layer_sizes": (100,),
    "tol": 0,
    "n_iter_no_change": 1000,
    "random_state": 0,
}


def make_net(dtype):
    """Make the network of 20 features, 100 hidden units and one output."""
    net = nn.Sequential(nn.Linear(20, 100), nn.ReLU(), nn.Linear(100, 1))
    return net.to(dtype)


def bare_torch(X, y, batch_size, epochs):
    """Train in a plain loop with the fused Adam, reading every loss."""
    X, y = torch.from_numpy(X), torch.from_numpy(y.astype(X.dtype))[:, None]
    net = make_net(X.dtype)
    optimizer = torch.optim.Adam(net.parameters(), fused=True)
    for _ in range(epochs):
        for rows in torch.randperm(len(X)).split(batch_size):
            optimizer.zero_grad()
            loss = F.binary_cross_entropy_with_logits(net(X[rows]), y[rows])
            loss.backward()
            optimizer.step()
            loss.item()


def mlp_classifier(X, y, batch_size, epochs):
    """Train scikit-learn's MLPClassifier."""
    MLPClassifier(batch_size=batch_size, max_iter=epochs, **PARAMS).fit(X, y)


def skorch_defaults(X, y, batch_size, epochs):
    """Train a skorch net as its documentation does."""
    NeuralNetBinaryClassifier(
        make_net(torch.from_numpy(X).dtype),
        optimizer=torch.optim.Adam,
        lr=1e-3,
        max_epochs=epochs,
        batch_size=batch_size,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    ).fit(X, y.astype(X.dtype))


def ours(X, y, batch_size, epochs, k=0):
    """Train the estimator."""
    HessianRegularizedMLPClassifier(
        k=k, batch_size=batch_size, max_iter=epochs, **PARAMS
    ).fit(X, y)


def ours_with_the_method(X, y, batch_size, epochs):
    """Train the estimator with the method."""
    ours(X, y, batch_size, epochs, k=10)


WAYS = (bare_torch, mlp_classifier, skorch_defaults, ours, ours_with_the_method)


def milliseconds(X, y, batch_size, epochs):
    """Time all ways in turn, five times, and take medians: milliseconds an epoch."""
    times = {way: [] for way in WAYS}
    for _ in range(5):
        for way in WAYS:
            start = time.perf_counter()
            way(X, y, batch_size, epochs)
            times[way].append(1000 * (time.perf_counter() - start) / epochs)
    return [statistics.median(times[way]) for way in WAYS]


def main():
    """Print the table for all sizes in both precisions."""
    warnings.filterwarnings("ignore", message=".*reached and the .*")
    rows = []
    for n, batch_size, epochs in SIZES:
        X, y = make_classification(n, 20, n_informative=10, random_state=0)
        for dtype in (np.float32, np.float64):
            found = milliseconds(X.astype(dtype), y, batch_size, epochs)
            label = f"{n:,} rows, batch {batch_size}, {dtype.__name__}"
            rows.append([label, *(f"{value:.1f}" for value in found)])
    names = [way.__name__.replace("_", " ") for way in WAYS]
    print_table("milliseconds an epoch", ["data", *names], rows)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(machine())
    with threadpool_limits(1):
        main()
