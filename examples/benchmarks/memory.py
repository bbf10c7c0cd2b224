"""Peak memory of fit and predict on large data: ours beside MLPClassifier's.

``make bench`` runs it, on Linux. Each case runs in a process of its own on one thread;
its figure is the largest resident memory of the call beyond that at its beginning.
"""

import json
import sys
import tempfile
import time
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from measure import in_new_process, machine, peak_mib_of, print_table
from scipy import sparse
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from sklearn_hessreg import HessianRegularizedMLPClassifier, hessian_scores

ROWS, FEATURES, PART = 200_000, 200, 20_000
ESTIMATORS = {
    "ours": lambda **options: HessianRegularizedMLPClassifier(k=0, **options),
    "MLP": MLPClassifier,
}


def array():
    """Make rows of float32."""
    X = np.random.default_rng(0).standard_normal((ROWS, FEATURES), dtype="float32")
    return X, (X[:, 0] > 0).astype(int)


def tensor():
    """Make the same as a tensor of torch."""
    X, y = array()
    return torch.from_numpy(X), y


def frame():
    """Make the same as a frame of columns of Arrow."""
    import pandas as pd

    X, y = array()
    return pd.DataFrame(X).astype("float32[pyarrow]"), y


def memory_map():
    """Make the same as a map of a file."""
    X, y = array()
    path = Path(tempfile.mkdtemp()) / "X.npy"
    np.save(path, X)
    del X
    return np.load(path, mmap_mode="r"), y


def csr(rows=100_000, features=10_000, nonzero=100):
    """Make sparse rows of float64."""
    rng = np.random.default_rng(0)
    columns = np.sort(rng.integers(0, features, (rows, nonzero), dtype="int32"), axis=1)
    ends = np.arange(0, rows * nonzero + 1, nonzero)
    values = rng.random(rows * nonzero)
    X = sparse.csr_matrix((values, columns.ravel(), ends), (rows, features))
    return X, rng.integers(0, 2, rows)


def fit(estimator, X, y, **options):
    """Train two epochs."""
    clf = estimator(hidden_layer_sizes=(100,), max_iter=2, random_state=0, **options)
    return lambda: clf.fit(X, y)


def stop_early(estimator, X, y):
    """Train two epochs beside a validation part."""
    return fit(estimator, X, y, early_stopping=True)


def fit_parts(estimator, X, y):
    """Train on parts, two passes."""
    clf = estimator(hidden_layer_sizes=(100,), random_state=0)

    def train():
        for start in [*range(0, len(y), PART)] * 2:
            rows = slice(start, start + PART)
            clf.partial_fit(X[rows], y[rows], classes=[0, 1])

    return train


def predict(estimator, X, y):
    """Predict all rows."""
    clf = estimator(hidden_layer_sizes=(100,), max_iter=1, random_state=0)
    clf.fit(X[:2000], y[:2000])
    return lambda: clf.predict_proba(X)


CASES = {
    "fit, array": (fit, array),
    "fit, array, early_stopping": (stop_early, array),
    "fit, torch tensor": (fit, tensor),
    "fit, frame of Arrow's columns": (fit, frame),
    "fit, memory map": (fit, memory_map),
    "fit, memory map, early_stopping": (stop_early, memory_map),
    "partial_fit, memory map, ten parts": (fit_parts, memory_map),
    "predict_proba, array": (predict, array),
    "fit, CSR": (fit, csr),
    "fit, CSR, early_stopping": (stop_early, csr),
    "predict_proba, CSR": (predict, csr),
}


def scores_of_images(samples=60_000):
    """Score the paper's network per sample in all five layers."""
    generator = torch.Generator().manual_seed(0)
    X = torch.rand(samples, 784, generator=generator)
    y = torch.randint(0, 10, (samples,), generator=generator)
    sizes = (784, 1000, 1000, 500, 200, 10)
    layers = []
    for fan_in, out in pairwise(sizes):
        layers += [torch.nn.Linear(fan_in, out), torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1])
    loss = torch.nn.functional.cross_entropy
    options = {"n": 5, "curvature": "per_sample"}
    hessian_scores(net, loss, X[:100], y[:100], **options)  # what is made once
    return lambda: hessian_scores(net, loss, X, y, **options)


def measure(name, case=None):
    """Print memory and seconds of the processor of one case."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if case is None:
        call, size = scores_of_images(), 60_000 * 784 * 4
    else:
        way, data = CASES[case]
        X, y = data()
        size = X.data.nbytes if sparse.issparse(X) else ROWS * FEATURES * 4
        way(ESTIMATORS[name], X[:2000], y[:2000])()  # what is made once
        call = way(ESTIMATORS[name], X, y)
    start = time.process_time()
    mib = peak_mib_of(call)
    print(json.dumps([mib, time.process_time() - start, size / 2**20]))


def main():
    """Print the table, and the scores of all images."""
    rows = []
    for case in CASES:
        results = [in_new_process(__file__, name, case) for name in ESTIMATORS]
        (ours, own, size), (theirs, other, _) = results
        cells = [f"{x:.0f}" for x in (size, ours, theirs)]
        rows.append([case, *cells, f"{own:.3g}", f"{other:.3g}", f"{own / other:.2f}"])
    columns = ["case", "data, MiB", "ours, MiB", "MLP, MiB"]
    columns += ["ours, s", "MLP, s", "ours / MLP"]
    print_table("peak memory beside the data, time of the processor", columns, rows)
    mib, took, size = in_new_process(__file__, "scores")
    print(
        f"\nScores per sample, 60,000 images of {size:.0f} MiB, all five layers of "
        f"1000-1000-500-200: {mib:.0f} MiB, {took:.0f} s."
    )


if __name__ == "__main__":
    with threadpool_limits(1):
        if sys.argv[1:]:
            measure(*sys.argv[1:])
        else:
            print(machine())
            main()
