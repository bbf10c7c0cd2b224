"""Seconds of an import, of a fit on 100 rows, and of a grid search in two processes.

``make bench`` runs it.
"""

import subprocess
import sys
import warnings

from measure import machine, medians_in_turn, print_table
from sklearn.datasets import make_classification
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


def main():
    """Print the three tables."""
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


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="Maximum iterations")
    warnings.filterwarnings("ignore", message="Stochastic Optimizer")
    print(machine())
    main()
