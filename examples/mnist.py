"""The MNIST digits, for the examples and the benchmarks."""

import os
import sys

import numpy as np
from sklearn.datasets import fetch_openml


def load_mnist():
    """Return X_train, y_train, X_test, y_test, the grey levels scaled to 0..1.

    Read from the npz file that the environment variable HESSREG_MNIST names, or
    downloaded from OpenML.
    """
    if path := os.environ.get("HESSREG_MNIST"):
        with np.load(path) as data:
            arrays = [data[key] for key in ("X_train", "y_train", "X_test", "y_test")]
    else:
        try:
            X, y = fetch_openml("mnist_784", return_X_y=True, as_frame=False)
        except OSError as error:
            sys.exit(
                f"MNIST cannot be downloaded from OpenML ({error}). Set HESSREG_MNIST "
                "to an npz file with X_train, y_train, X_test and y_test."
            )
        y = y.astype("uint8")
        arrays = [X[:60000], y[:60000], X[60000:], y[60000:]]
    X_train, y_train, X_test, y_test = arrays
    X_train, X_test = (
        X.reshape(len(X), -1).astype("float32") / 255 for X in (X_train, X_test)
    )
    return X_train, y_train, X_test, y_test
