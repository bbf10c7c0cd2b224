"""Data sets of the study: rows drawn, split and mislabelled by seed."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from mnist import load_mnist
from sklearn.datasets import load_breast_cancer, load_digits, make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

DATASETS = ("mnist-4000", "mnist-1000", "digits", "classification")
NOISES = (0.4, 0, 0.2)
VALID_SHARE = 0.1
QUICK_ROWS = 300
CLASS_SEP = 1.5  # a random forest gets about .9 of clean data right


@dataclass
class Split:
    """Training and validation rows with noisy labels, test rows with clean ones."""

    X_train: np.ndarray
    y_train: np.ndarray
    X_valid: np.ndarray
    y_valid: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray

    def labelled(self):
        """Join training and validation rows: all that a user would have."""
        return (
            np.concatenate([self.X_train, self.X_valid]),
            np.concatenate([self.y_train, self.y_valid]),
        )


def load(dataset, noise, seed, quick=False):
    """Draw a data set by its name, with a share `noise` of wrong training labels.

    Which labels are wrong is uniform unless the name ends with ``-pairs`` or
    ``-boundary``.
    """
    dataset, spoil = kind_of_noise(dataset)
    rng = np.random.default_rng(seed)
    if dataset.startswith("mnist-"):
        X, y, X_test, y_test = images(quick)
        size = QUICK_ROWS if quick else int(dataset.removeprefix("mnist-"))
        rows = rng.choice(len(X), size, replace=False)
        X, y = X[rows], y[rows]
    else:
        X, y, X_test, y_test = _TABLES[dataset](seed, quick)
    y = spoil(X, y, noise, rng)
    n_valid = round(VALID_SHARE * len(y))  # the rows are in random order
    return Split(X[n_valid:], y[n_valid:], X[:n_valid], y[:n_valid], X_test, y_test)


def with_wrong_labels(y, share, rng):
    """Replace a share of the labels 0..C-1 by another one, uniformly chosen."""
    n_classes = y.max() + 1
    wrong = rng.permutation(len(y))[: round(share * len(y))]
    y = y.copy()
    y[wrong] = (y[wrong] + rng.integers(1, n_classes, len(wrong))) % n_classes
    return y


def kind_of_noise(dataset):
    """Part a name into the data set and how its labels become wrong."""
    first, _, kind = dataset.rpartition("-")
    kinds = {"pairs": _pairs, "boundary": _boundary}
    return (first, kinds[kind]) if kind in kinds else (dataset, _uniform)


def _uniform(X, y, share, rng):
    """Give a share of the rows any other label."""
    return with_wrong_labels(y, share, rng)


def _pairs(X, y, share, rng):
    """Take a share of the rows for the class after their own."""
    wrong = rng.permutation(len(y))[: round(share * len(y))]
    y = y.copy()
    y[wrong] = (y[wrong] + 1) % (y.max() + 1)
    return y


def _boundary(X, y, share, rng):
    """Take the rows that are hardest to tell for the class they are most like.

    A logistic regression says so, fitted to the true labels.
    """
    proba = LogisticRegression(max_iter=1000).fit(X, y).predict_proba(X)
    own = np.take_along_axis(proba, y[:, None], axis=1)[:, 0]
    np.put_along_axis(proba, y[:, None], -1, axis=1)
    wrong = np.argsort(own - proba.max(1))[: round(share * len(y))]
    y = y.copy()
    y[wrong] = proba[wrong].argmax(1)
    return y


@cache
def images(quick=False):
    """Return X_train, y_train, X_test, y_test of MNIST; at quick size of digits.

    So the quick size needs no download.
    """
    if quick:
        return _digits(0, False)
    X, y, X_test, y_test = load_mnist()
    return X, y.astype(np.int64), X_test, y_test.astype(np.int64)


def _digits(seed, quick):
    """Split scikit-learn's digits, 30 % for the test."""
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    parts = train_test_split(X, y, test_size=0.3, stratify=y, random_state=seed)
    X, X_test, y, y_test = parts
    rows = QUICK_ROWS if quick else len(X)
    return X[:rows], y[:rows], X_test, y_test


def _classification(seed, quick):
    """Make a table of five classes, standardised by its training rows."""
    rows = QUICK_ROWS if quick else 4000
    X, y = make_classification(
        2 * rows,
        n_features=30,
        n_informative=15,
        n_classes=5,
        class_sep=CLASS_SEP,
        flip_y=0,
        random_state=seed,
    )
    scaler = StandardScaler().fit(X[:rows])
    X = scaler.transform(X).astype(np.float32)
    return X[:rows], y[:rows], X[rows:], y[rows:]


def _cancer(seed, quick):
    """Split scikit-learn's breast cancer data, 30 % for the test, standardised."""
    X, y = load_breast_cancer(return_X_y=True)
    parts = train_test_split(X, y, test_size=0.3, stratify=y, random_state=seed)
    X, X_test, y, y_test = parts
    scaler = StandardScaler().fit(X)
    X, X_test = (scaler.transform(part).astype(np.float32) for part in (X, X_test))
    return X, y, X_test, y_test


_TABLES = {
    "digits": _digits,
    "cancer": _cancer,
    "classification": _classification,
}
