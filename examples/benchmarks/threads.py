"""Steps of training with one and with all threads, idle and beside busy processes.

``make bench`` runs it. Bare torch shows what threads are worth, ours what is chosen;
the two numbers of threads take turns.
"""

import subprocess
import sys
import warnings
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import torch
from measure import machine, medians_in_turn, print_table
from training import bare_torch, ours

ROWS = 1000
CASES = (  # features, hidden units, rows of a batch
    (20, (100,), 32),
    (20, (100,), 200),
    (64, (128, 64, 32), 32),
    (64, (256, 128), 64),
    (200, (200, 200), 200),
    (784, (256, 128, 64), 200),
    (784, (500, 500), 200),
    (784, (1000, 1000, 500, 200), 200),
)


@contextmanager
def busy(count):
    """Keep other processes busy meanwhile."""
    command = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for process in others:
            process.kill()
            process.wait()


def with_threads(threads, way, run):
    """Make a function that trains with a number of threads of torch's."""

    def train():
        torch.set_num_threads(threads)
        way(*run)

    return train


def row(case, dtype, threads):
    """Time a case: bare torch with one and all threads, ours with all."""
    features, hidden, batch_size = case
    rng = np.random.default_rng(0)
    X = rng.standard_normal((ROWS, features)).astype(dtype)
    run = (X, rng.integers(0, 10, ROWS), hidden, batch_size, 1)
    ways = ((1, bare_torch), (threads, bare_torch), (threads, ours))
    functions = [with_threads(number, way, run) for number, way in ways]
    one, several, chosen = medians_in_turn(functions, 7)
    widths = (features, *hidden, 10)
    largest = max(2 * batch_size * a * b for a, b in pairwise(widths))
    label = f"{'-'.join(map(str, widths))}, batch {batch_size}, {dtype}"
    return [
        label,
        f"{largest / 1e6:.3g} million",
        f"{1000 * one:.3g}",
        f"{several / one:.2f}",
        f"{chosen / one:.2f}",
    ]


def main():
    """Print a table idle, and one beside each number of busy processes."""
    print(machine())
    threads = torch.get_num_threads()
    columns = ["network", "largest product", "one thread, ms an epoch"]
    columns += [f"{threads} threads / one", f"ours, {threads} threads given / one"]
    for count in (0, 1, 2):
        with busy(count):
            rows = [
                row(case, d, threads) for d in ("float32", "float64") for case in CASES
            ]
        print_table(f"1,000 rows beside {count} busy processes", columns, rows)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="Maximum iterations")
    main()
