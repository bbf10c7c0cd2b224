"""Seconds of an import, of a fit on 100 rows, and of grid searches by two workers.

``make bench`` runs it.
"""

import subprocess
import sys
import warnings

from joblib import parallel_config
from joblib.externals.loky import get_reusable_executor
from measure import machine, medians_in_turn, print_table
from sklearn.datasets import load_digits, make_classification
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier

from sklearn_hessreg import HessianRegularizedMLPClassifier

IMPORTS = ("import torch, skorch", "import torch, skorch, sklearn_hessreg")


def import_in_new_process(statement):
    """Make a function that runs an import statement in a process of its own."""
    command = [sys.executable, "-c", statement]
    return lambda: subprocess.run(command, check=True)


def fit_100_rows(estimator, **options):
    """Make a function that trains an estimator for one epoch on 100 rows."""
    X, y = make_classification(100, random_state=0)
    return lambda: estimator(max_iter=1, random_state=0, **options).fit(X, y)


def search(n_jobs):
    """Make a function that fits 12 times in a grid search over k."""
    X, y = make_classification(10000, 20, n_informative=10, random_state=0)
    clf = HessianRegularizedMLPClassifier(max_iter=30, tol=0, random_state=0)
    grid = GridSearchCV(clf, {"k": [0, 5, 10, 20]}, cv=3, n_jobs=n_jobs, refit=False)
    return lambda: grid.fit(X, y)


def search_digits(estimator, backend, cold=False, **options):
    """Make a function that fits 48 times on digits by two workers of joblib's."""
    X, y = load_digits(return_X_y=True)
    clf = estimator(max_iter=20, tol=0, random_state=0, **options)
    values = {"alpha": [0, 1e-5, 1e-4, 1e-3], "learning_rate_init": [1e-4, 1e-3, 1e-2]}
    grid = GridSearchCV(clf, values, cv=4, refit=False)

    def search():
        if cold:
            get_reusable_executor().shutdown(wait=True)
        with parallel_config(backend, n_jobs=2):
            grid.fit(X / 16, y)

    return search


def report_searches():
    """Print searches of 48 fits, ours beside MLPClassifier's, by kind of worker."""
    rows = []
    kinds = {
        "processes that start": ("loky", True),
        "processes that are there": ("loky", False),
        "threads": ("threading", False),
    }
    for label, kind in kinds.items():
        ours = search_digits(HessianRegularizedMLPClassifier, *kind, k=0)
        theirs = search_digits(MLPClassifier, *kind)
        if kind == ("loky", False):
            ours()  # starts the processes
        a, b = medians_in_turn([ours, theirs], 3)
        rows.append([label, f"{a:.2f}", f"{b:.2f}", f"{a / b:.2f}"])
    columns = ["two workers", "ours, k=0", "MLPClassifier", "ours / MLP"]
    print_table("seconds of a grid search of 48 fits on digits", columns, rows)


def main():
    """Print the tables."""
    found = medians_in_turn([import_in_new_process(s) for s in IMPORTS], 11)
    rows = [[s, f"{t:.3f}"] for s, t in zip(IMPORTS, found, strict=True)]
    print_table("seconds of an import", ["statement", "seconds"], rows)
    ours = fit_100_rows(HessianRegularizedMLPClassifier)
    theirs = fit_100_rows(MLPClassifier)
    found = [f"{1000 * seconds:.2f}" for seconds in medians_in_turn([ours, theirs], 51)]
    print_table("milliseconds of fit on 100 rows", ["ours", "MLPClassifier"], [found])
    search(2)()  # starts the processes
    one, two = medians_in_turn([search(1), search(2)], 5)
    found = [f"{one:.2f}", f"{two:.2f}", f"{two / one:.2f}"]
    columns = ["n_jobs=1", "n_jobs=2", "ratio"]
    print_table("seconds of a grid search of 12 fits", columns, [found])
    report_searches()


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="Maximum iterations")
    warnings.filterwarnings("ignore", message="Stochastic Optimizer")
    print(machine())
    main()
