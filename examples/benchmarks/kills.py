"""Kill fits with a checkpoint at random moments until each has ended; compare its bits.

Prints a line for each configuration: how often it was killed, whether the finished
network equals the uninterrupted one, and which files are left.
"""

import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from sklearn_hessreg import HessianRegularizedMLPClassifier

SGD = {"solver": "sgd", "learning_rate_init": 0.05}
PLATEAU = {"reinit_every": "plateau", "tol": 0.02, "n_iter_no_change": 1}
CONFIGURATIONS = {
    "adam": {},
    "sgd, constant": SGD,
    "sgd, invscaling": {**SGD, "learning_rate": "invscaling"},
    "sgd, adaptive": {**SGD, **PLATEAU, "learning_rate": "adaptive"},
    "dropout": {"dropout": 0.3},
    "early stopping": {"k": 0, "early_stopping": True, "n_iter_no_change": 5},
    "plateau": PLATEAU,
    "plateau of the score": {**PLATEAU, "early_stopping": True},
    "reset": {"optimizer_state": "reset"},
    "units": {"granularity": "unit", "n_snapshots": 3},
}


def fit(options, checkpoint, result):
    """Train, and store the weights of all snapshots with the losses."""
    warnings.simplefilter("ignore")
    X, y = load_digits(return_X_y=True)
    clf = HessianRegularizedMLPClassifier(
        **{
            "hidden_layer_sizes": (32, 16),
            "k": 20,
            "n": 2,
            "reinit_every": 3,
            "batch_size": 50,
            "max_iter": 40,
            "random_state": 0,
            **options,
        },
        checkpoint=checkpoint,
    ).fit(X / 16, y)
    arrays = [a for s in clf.snapshots_ for a in (*s.coefs, *s.intercepts)]
    np.savez(result, *clf.coefs_, *arrays, clf.loss_curve_)


def start(options, checkpoint, result):
    """Start a process that fits."""
    context = multiprocessing.get_context("fork")
    process = context.Process(target=fit, args=(options, checkpoint, result))
    process.start()
    return process


def try_configuration(options, folder, kills, rng):
    """Kill so many fits, then let one end; tell if it equals the uninterrupted one."""
    whole, resumed, place = (folder / name for name in ("a.npz", "b.npz", "files"))
    place.mkdir()
    begin = time.perf_counter()
    start(options, None, whole).join()
    duration = time.perf_counter() - begin
    killed = 0
    for _ in range(kills):
        process = start(options, place / "state", resumed)
        process.join(rng.uniform(0, 2 * duration / kills))
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.join()
        if process.exitcode == 0:  # ended before it could be killed
            break
    if process.exitcode != 0:
        start(options, place / "state", resumed).join()
    with np.load(whole) as one, np.load(resumed) as two:
        equal = one.files == two.files and all(
            np.array_equal(one[name], two[name]) for name in one.files
        )
    return killed, equal, os.listdir(place)


def main(kills=6, seed=0):
    """Try all configurations."""
    rng = random.Random(seed)
    for name, options in CONFIGURATIONS.items():
        with tempfile.TemporaryDirectory() as folder:
            killed, equal, left = try_configuration(options, Path(folder), kills, rng)
        print(f"{name:22}{killed:3} kills, equal: {equal}, left: {left}", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
