"""The paper's experiment: MNIST, hidden layers 1000-1000-500-200, k from 0 to 30.

First a learning rate is chosen for each solver, without the method, on a part of the
training images; ``--select`` stops there. ``--arms '*k=0' '*n=1*'`` leaves out n=2.
"""

import argparse
import math
from dataclasses import replace
from functools import partial
from itertools import product

from sklearn_hessreg import HessianRegularizedMLPClassifier
from study.cycles import PAPER
from study.data import images
from study.results import file_of, read
from study.runner import Study, execute, parse
from study.watch import Watch

# at 0.3 SGD diverges
SOLVERS = {"adam": (0.0001, 0.0003, 0.001, 0.003), "sgd": (0.01, 0.03, 0.1)}
K = (10, 20, 30)
ARMS = [
    *[f"{solver} k=0" for solver in SOLVERS],
    *[f"{solver} n={n} k={k}" for n, solver, k in product((1, 2), SOLVERS, K)],
]
RATES = [f"{solver} lr={rate}" for solver, rates in SOLVERS.items() for rate in rates]
COLUMNS = [
    *("epoch", "train_loss", "train_loss_after", "train_accuracy"),
    *("test_accuracy", "test_accuracy_after", "test_log_loss", "seconds"),
]
# the paper's choice of weights after every epoch, and one network in the end
ALIKE = {**PAPER, "reinit_every": 1, "n_snapshots": 1, "early_stopping": False}
ALIKE |= {"scoring": None, "alpha": 0, "tol": 0, "n_iter_no_change": math.inf}
WATCHED = 10_000  # training images in the training loss, always the same


def try_rate(key, epochs, quick):
    """Train without the method on five sixths of the training images."""
    X, y, *_ = images(quick)
    cut = len(X) * 5 // 6
    return _train(key, epochs, quick, X[:cut], y[:cut], valid=(X[cut:], y[cut:]))


def run(key, epochs, quick, rates):
    """Train the paper's network; return a row for each epoch."""
    X, y, *test = images(quick)
    solver = key[2].split()[0]
    rate = {"learning_rate_init": rates[solver]}
    rows = _train(key, epochs, quick, X, y, test=tuple(test), **rate)
    return [row | {"test_log_loss": row["test_loss"]} for row in rows]


def settings(arm):
    """Read the name of an arm, as "adam n=1 k=10" or "sgd lr=0.1"."""
    solver, *words = arm.split()
    values = dict(word.split("=") for word in words)
    found = {"solver": solver, "k": float(values.get("k", 0))}
    if "n" in values:
        found["n"] = int(values["n"])
    if "lr" in values:
        found["learning_rate_init"] = float(values["lr"])
    return found


def _train(key, epochs, quick, X, y, learning_rate_init=0.001, **watched):
    """Fit an arm; return what a Watch saw before and after each re-initialisation."""
    _, _, arm, seed = key
    watch = Watch({"train": (X[:WATCHED], y[:WATCHED]), **watched}, after=True)
    rate = {"learning_rate_init": learning_rate_init}
    clf = HessianRegularizedMLPClassifier(
        **ALIKE | rate | settings(arm),
        max_iter=epochs,
        random_state=seed,
        device="cpu",
        skorch_callbacks=[("watch", watch)],
        hidden_layer_sizes=(16, 8, 8, 8) if quick else (1000, 1000, 500, 200),
        batch_size=200,
    ).fit(X, y)
    return dict(clf.net_.callbacks_)["watch"].rows_


SELECTION = Study(
    name="paper-rates",
    run=try_rate,
    columns=["epoch", "train_loss", "train_accuracy", "valid_accuracy", "seconds"],
    datasets=("mnist",),
    noises=(0,),
    arms=RATES,
    seeds=1,
    epochs=5,
)
STUDY = Study(
    name="paper",
    run=run,
    columns=COLUMNS,
    datasets=("mnist",),
    noises=(0,),
    arms=ARMS,
    seeds=5,
    epochs=20,
)


def select(options):
    """Try the learning rates that have not been tried; return {solver: best one}."""
    size = {
        "arms": RATES,
        "seeds": [0],
        "epochs": min(options.epochs, SELECTION.epochs),
    }
    execute(SELECTION, argparse.Namespace(**(vars(options) | size)))
    rows = read(file_of(options.results, SELECTION.name, "mnist"))
    last = rows[rows["epoch"] == rows["epoch"].max()].set_index("arm")["valid_accuracy"]
    best = {
        solver: max(rates, key=lambda rate: last[f"{solver} lr={rate}"])
        for solver, rates in SOLVERS.items()
    }
    print("Learning rates with the best validation accuracy:", best)
    return best


def main(argv=None):
    """Choose the learning rates, then run the study as the command line says."""
    options = parse(
        STUDY,
        argv,
        add=lambda parser: parser.add_argument(
            "--select", action="store_true", help="choose the learning rates only"
        ),
    )
    rates = select(options)
    if not options.select:
        execute(replace(STUDY, run=partial(run, rates=rates)), options)


if __name__ == "__main__":
    main()
