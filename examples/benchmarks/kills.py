"""Kill fits with a checkpoint at random moments until each has ended; compare its bits.

Prints a line for each configuration, of the estimator and of skorch nets: how often it
was killed, whether the finished network equals the uninterrupted one, and which files
are left.
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
import torch
from sklearn.datasets import load_digits
from skorch import NeuralNetClassifier
from skorch.callbacks import Checkpoint, EarlyStopping, EpochScoring, LRScheduler
from skorch.dataset import ValidSplit
from torch import nn

from sklearn_hessreg import (
    FitCheckpoint,
    HessianRegularizedMLPClassifier,
    HessianReinit,
)

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
TORCH_ADAM = {"optimizer": torch.optim.Adam, "lr": 0.002}
TORCH_SGD = {"optimizer": torch.optim.SGD, "lr": 0.05, "optimizer__momentum": 0.9}


def method(**options):
    """Make the callback of a net."""
    return HessianReinit(k=20, n=2, hessian_samples=64, random_state=0, **options)


# functions of a folder for what other callbacks write
NETS = {
    "net, adam, dropout": lambda folder: {**TORCH_ADAM, "train_split": ValidSplit(0.2)},
    "net, sgd, a schedule": lambda folder: {
        **TORCH_SGD,
        "callbacks": [LRScheduler("StepLR", step_size=5, gamma=0.7)],
    },
    "net, cyclic rates": lambda folder: {
        **TORCH_SGD,
        "callbacks": [
            LRScheduler("CyclicLR", base_lr=0.01, max_lr=0.1, step_every="batch")
        ],
    },
    "net, early stopping": lambda folder: {
        **TORCH_ADAM,
        "lr": 0.01,
        "callbacks": [EarlyStopping(patience=4, load_best=True)],
    },
    "net, plateau": lambda folder: {
        **TORCH_ADAM,
        "lr": 0.01,
        "callbacks": [
            method(tol=0.01, n_iter_no_change=1, n_snapshots=3, load_best=True)
        ],
    },
    "net, scores and the best": lambda folder: {
        **TORCH_ADAM,
        "callbacks": [
            method(reinit_every=4),
            EpochScoring("f1_macro", lower_is_better=False),
            Checkpoint(dirname=folder, load_best=True),
        ],
    },
}


def fit_net(make, checkpoint, result):
    """Train a net, without a seed after a kill, and store what it has come to."""
    warnings.simplefilter("ignore")
    X, y = load_digits(return_X_y=True)
    if checkpoint is None or not checkpoint.exists():
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002
    options = make(result.with_suffix(".files"))
    callbacks = options.pop("callbacks", [])
    net = NeuralNetClassifier(
        lambda: nn.Sequential(
            *(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU()),
            *(nn.Dropout(0.2), nn.Linear(32, 10)),
        ),
        criterion=nn.CrossEntropyLoss,
        max_epochs=30,
        iterator_train__shuffle=True,
        verbose=0,
        callbacks=[*callbacks, *([FitCheckpoint(checkpoint)] if checkpoint else [])],
        **options,
    ).fit((X / 16).astype("float32"), y)
    state = net.optimizer_.state_dict()["state"]
    moments = [value for one in state.values() for value in one.values()]
    weights = net.module_.state_dict().values()
    np.savez(result, *weights, *moments, net.history[:, "train_loss"])


def fit(options, checkpoint, result):
    """Train, and store the weights of all snapshots with the losses."""
    if callable(options):
        fit_net(options, checkpoint, result)
        return
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
    torch.set_num_threads(1)  # a process with several cannot fork
    with tempfile.TemporaryDirectory() as folder:  # what is imported late, once
        fit({}, None, Path(folder) / "a.npz")
        fit(NETS["net, adam, dropout"], None, Path(folder) / "b.npz")
    rng = random.Random(seed)
    for name, options in {**CONFIGURATIONS, **NETS}.items():
        with tempfile.TemporaryDirectory() as folder:
            killed, equal, left = try_configuration(options, Path(folder), kills, rng)
        print(f"{name:25}{killed:3} kills, equal: {equal}, left: {left}", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
