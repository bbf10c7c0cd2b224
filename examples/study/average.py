"""Several networks of one training: what averaging their probabilities is worth.

They are taken every 100 batches, at the same epochs in all arms: where the arms with
``every=auto``, which are read and cannot be run any more, re-initialised next.
``test_accuracy_15`` is that of the last 15 of them together, of fewer where there are
not so many yet. What the estimator itself averages, one network for each cycle that
ended at a plateau, is not measured here.
"""

import math
from itertools import product

import numpy as np
from sklearn.metrics import accuracy_score, log_loss
from skorch.callbacks import Callback

from study.arms import DROPOUT, WEIGHT_DECAY, make_estimator
from study.data import DATASETS, NOISES, load
from study.noise import network
from study.results import KEY
from study.runner import Study

CYCLE = 100  # batches from one network to the next
NETWORKS = (1, 5, 15)
MEASURES = ("valid_accuracy", "test_accuracy", "test_log_loss")
ARMS = [
    "none",
    "ours n=3 k=10 per_sample",
    *DROPOUT,
    *WEIGHT_DECAY,
]


def suffix(networks):
    """End the names of the columns of so many networks; one network's have none."""
    return "" if networks == 1 else f"_{networks}"


def of_networks(rows, networks):
    """Take the columns of so many networks, under the names of one network's."""
    names = {f"{name}{suffix(networks)}": name for name in MEASURES}
    return rows[[*KEY, "epoch", *names]].rename(columns=names)


class Snapshots(Callback):
    """Keep the probabilities of a net at the end of every so many epochs.

    ``data`` maps names to (X, y). ``rows_`` gets a dict of the MEASURES for each time.
    """

    def __init__(self, data, epochs):
        self.data = data
        self.epochs = epochs

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Forget an earlier training."""
        self.rows_ = []
        self.kept_ = {name: [] for name in self.data}

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Measure the means of the last probabilities at the end of a cycle."""
        epoch = net.history[-1, "epoch"]
        if epoch % self.epochs:
            return
        for name, (X, _) in self.data.items():
            self.kept_[name].append(net.predict_proba(X))
        row = {"epoch": epoch, "train_loss": net.history[-1, "train_loss"]}
        for (name, (_, y)), networks in product(self.data.items(), NETWORKS):
            proba = np.mean(self.kept_[name][-networks:], axis=0)
            end = suffix(networks)
            row[f"{name}_accuracy{end}"] = accuracy_score(y, proba.argmax(1))
            row[f"{name}_log_loss{end}"] = log_loss(
                y, proba, labels=range(proba.shape[1])
            )
        self.rows_.append(row)


def run(key, epochs, quick):
    """Train one arm; return a row for each cycle."""
    dataset, noise, arm, seed = key
    split = load(dataset, noise, seed, quick)
    settings = network(dataset, quick)
    batches = math.ceil(len(split.y_train) / settings["batch_size"])
    snapshots = Snapshots(
        {
            "valid": (split.X_valid, split.y_valid),
            "test": (split.X_test, split.y_test),
        },
        1 if quick else math.ceil(CYCLE / batches),
    )
    clf = make_estimator(
        arm, seed=seed, epochs=epochs, callbacks=[("snapshots", snapshots)], **settings
    ).fit(split.X_train, split.y_train)
    return dict(clf.net_.callbacks_)["snapshots"].rows_


STUDY = Study(
    name="average",
    run=run,
    columns=[
        "epoch",
        "train_loss",
        *[f"{name}{suffix(m)}" for m, name in product(NETWORKS, MEASURES)],
    ],
    datasets=DATASETS,
    noises=NOISES,
    arms=ARMS,
    seeds=10,
    epochs=60,
)


main = STUDY.main

if __name__ == "__main__":
    main()
