"""How the cost of an epoch grows with rows, weights and classes: exponents.

``make bench`` runs it. Each exponent is the slope of a straight line through the
logarithms of size and median processor time, of a fit with one thread and ``k=0``.
"""

import statistics
import time
import warnings

import numpy as np
from measure import machine, print_table
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from sklearn_hessreg import HessianRegularizedMLPClassifier

EPOCHS = 2
GROWTH = (
    # variable, its sizes, the exponent that the products predict
    ("rows", (4000, 8000, 16000, 32000), "1"),
    ("features", (2048, 4096, 8192), "1"),
    ("units", (512, 1024, 2048), "2"),
    ("classes", (64, 256, 1024), "0 to 1"),
)


def training(rows=4000, features=64, units=256, classes=10):
    """Return a call that trains two hidden layers on random data."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, features), "float32")
    y = np.arange(rows) % classes
    clf = HessianRegularizedMLPClassifier(
        (units, units), k=0, max_iter=EPOCHS, random_state=0
    )
    return lambda: clf.fit(X, y)


def processor_seconds(function):
    """Take the median processor time of three calls after one that does not count."""
    times = []
    for _ in range(4):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return statistics.median(times[1:])


def main():
    """Measure all exponents and print them beside the predicted ones."""
    rows = []
    for variable, sizes, predicted in GROWTH:
        times = [processor_seconds(training(**{variable: size})) for size in sizes]
        slope = np.polyfit(np.log(sizes), np.log(times), 1)[0]
        each = ", ".join(f"{1000 * t / EPOCHS:.3g}" for t in times)
        sizes = ", ".join(map(str, sizes))
        rows.append([variable, sizes, each, predicted, f"{slope:.2f}"])
    columns = ["variable", "sizes", "ms an epoch", "predicted", "measured"]
    print_table("exponents of training, two hidden layers", columns, rows)


if __name__ == "__main__":
    warnings.simplefilter("ignore", ConvergenceWarning)
    print(machine())
    with threadpool_limits(1):
        main()
