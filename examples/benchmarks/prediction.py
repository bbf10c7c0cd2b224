"""Time and memory of prediction: ours beside MLPClassifier, one thread.

``make bench`` runs it. The two take turns, call by call; each figure is a median.
"""

import warnings
from functools import partial

import numpy as np
import torch
from measure import (
    machine,
    median_seconds_and_mib,
    medians_in_turn,
    print_table,
)
from sklearn.datasets import make_classification
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from sklearn_hessreg import HessianRegularizedMLPClassifier

CALLS = {1: 2000, 1000: 300, 1_000_000: 5}


def fitted(n_classes, dtype):
    """Fit both estimators on the same data of 20 features, 100 hidden units."""
    X, y = make_classification(
        2000, 20, n_informative=10, n_classes=n_classes, random_state=0
    )
    options = {"max_iter": 3, "random_state": 0}
    return [
        HessianRegularizedMLPClassifier(k=0, **options).fit(X.astype(dtype), y),
        MLPClassifier(**options).fit(X.astype(dtype), y),
    ]


def report_ten():
    """Print the time of ten networks beside ten MLPClassifiers that vote."""
    rows, rng = [], np.random.default_rng(0)
    X, y = make_classification(2000, 20, n_informative=10, random_state=0)
    options = {"reinit_every": 2, "early_stopping": False, "max_iter": 20}
    for dtype in ("float32", "float64"):
        ten = HessianRegularizedMLPClassifier(**options, random_state=0)
        ten.fit(X.astype(dtype), y)
        voting = ten.to_sklearn()  # the same networks
        for n, calls in ((1, 500), (10_000, 50)):
            Z = rng.standard_normal((n, 20)).astype(dtype)
            functions = [partial(clf.predict_proba, Z) for clf in (ten, voting)]
            ours, theirs = medians_in_turn(functions, calls)
            cells = [f"{1000 * ours:.3g}", f"{1000 * theirs:.3g}"]
            rows.append([f"{n:,} rows, {dtype}", *cells, f"{ours / theirs:.2f}"])
    titles = ["predict_proba of ten networks", "ours", "ten MLPs", "ours / MLPs"]
    print_table("milliseconds a call", titles, rows)


def main():
    """Print the table, and what a million rows take beside the output."""
    warnings.filterwarnings("ignore", message="Maximum iterations")
    warnings.filterwarnings("ignore", message="Stochastic Optimizer")
    rows, rng = [], np.random.default_rng(0)
    for n_classes in (2, 10):
        for dtype in ("float32", "float64"):
            both = fitted(n_classes, dtype)
            for n, calls in CALLS.items():
                X = rng.standard_normal((n, 20)).astype(dtype)
                for name in ("predict", "predict_proba"):
                    functions = [partial(getattr(clf, name), X) for clf in both]
                    ours, theirs = medians_in_turn(functions, calls)
                    label = f"{name}, {n:,} rows, {n_classes} classes, {dtype}"
                    cells = [f"{1000 * seconds:.3g}" for seconds in (ours, theirs)]
                    cells.append(f"{ours / theirs:.2f}")
                    rows.append([label, *cells])
    print_table("milliseconds a call", ["call", "ours", "MLP", "ours / MLP"], rows)
    output = n * n_classes * X.itemsize / 2**20
    _, ours = median_seconds_and_mib(lambda: both[0].predict_proba(X))
    _, theirs = median_seconds_and_mib(lambda: both[1].predict_proba(X))
    print(
        f"\nMemory of the last call: {ours:.0f} MiB, of which {output:.0f} MiB are the "
        f"output; MLPClassifier {theirs:.0f} MiB."
    )


if __name__ == "__main__":
    print(machine())
    torch.set_num_threads(1)
    with threadpool_limits(1):
        main()
        report_ten()
