"""Cycles against what a user would fit instead: early stopping, ten networks, trees.

Everybody gets all labelled rows, and a network 200 epochs at most; an arm that is
``long`` has 1,000, in which it comes to the end of its ten cycles; ``plain`` training
has nine tenths of the rows and 60 epochs, with a row for each. The method is the
estimator as it comes, but for ``early_stopping``; its controls have the same schedule
and choose weights at random or the largest. Training stops by the accuracy of the
validation rows, or by their loss, which is recommended. Of the arms in
the figure there is a row for each number of networks that are averaged: those of the
method in the order of its cycles, those that vote in the order of their seeds;
``epoch`` counts the epochs of all of them. Wrong
labels are uniform or, of data sets whose names end so, a class is taken for the one
after it (``pairs``), or the rows nearest to another class for that one (``boundary``).
"""

from time import process_time

import numpy as np

from sklearn_hessreg import HessianRegularizedMLPClassifier
from study.data import DATASETS, kind_of_noise, load
from study.peers import make_peer
from study.runner import Study, epochs_of
from study.watch import Watch

RECOMMENDED = "method loss long"
DRAWN = (RECOMMENDED, "ten voting")
PAPER = {"k": 10, "n": 1, "curvature": "mean_loss", "optimizer_state": "keep"}
BATCH_SIZE = {"mnist-1000": 32, "digits": 32}
PLAIN = {"k": 0, "early_stopping": False, "scoring": None, "alpha": 0, "tol": 0}
PLAIN |= {"n_iter_no_change": np.inf, "max_iter": 60}
OURS = {
    "early stopping": {"k": 0},
    "early stopping loss": {"k": 0, "scoring": "loss"},
    "method": {},
    "method loss": {"scoring": "loss"},
    RECOMMENDED: {"scoring": "loss"},
    "random loss long": {"importance": "random", "scoring": "loss"},
    "random": {"importance": "random"},
    "largest": {"importance": "magnitude"},
    # smaller doses: the paper's, and the default with the optimizer's state kept
    "k=10, n=1": PAPER,
    "kept": {"optimizer_state": "keep"},
}
PEERS = {
    "ten voting": "VotingClassifier MLPClassifier early_stopping",
    "forest": "RandomForestClassifier",
    "CleanLearning": "CleanLearning MLPClassifier early_stopping",
    "boosting": "HistGradientBoostingClassifier",
}
NOT_UNIFORM = tuple(
    f"{dataset}-{kind}"
    for kind in ("pairs", "boundary")
    for dataset in ("digits", "classification")
)


def network(dataset, quick=False):
    """Return the network's settings on a data set, alike in all arms."""
    dataset, _ = kind_of_noise(dataset)
    sizes = (256, 128, 64) if dataset.startswith("mnist") else (128, 64, 32)
    return {
        "hidden_layer_sizes": (16, 8, 8) if quick else sizes,
        "batch_size": BATCH_SIZE.get(dataset, 64),
    }


def run(key, epochs, quick):
    """Fit one arm on one data set; return its rows."""
    dataset, noise, arm, seed = key
    split = load(dataset, noise, seed, quick)
    if arm == "plain":
        return _train_plainly(split, seed, network(dataset, quick), quick)
    clf = _make(arm, seed, epochs, network(dataset, quick), quick)
    start = process_time()
    clf.fit(*split.labelled())
    seconds = process_time() - start
    rows = _rows(arm, clf, split.X_test, split.y_test)
    rows = rows if arm in DRAWN else rows[-1:]
    return [row | {"seconds": seconds} for row in rows]


def _train_plainly(split, seed, net, quick):
    """Train to the end without any regulariser; return a row for each epoch."""
    watch = Watch({"test": (split.X_test, split.y_test)})
    options = PLAIN | net | ({"max_iter": 2} if quick else {})
    clf = HessianRegularizedMLPClassifier(
        **options, random_state=seed, device="cpu", skorch_callbacks=[("watch", watch)]
    )
    rows = dict(clf.fit(split.X_train, split.y_train).net_.callbacks_)["watch"].rows_
    return [{name: row[name] for name in ("epoch", "test_accuracy")} for row in rows]


def _make(arm, seed, epochs, net, quick):
    """Build the estimator of an arm."""
    if arm in OURS:
        own = {"early_stopping": True, "scoring": None, "device": "cpu"}
        own["max_iter"] = epochs_of(arm, epochs)
        options = {"random_state": seed, **own, **net, **OURS[arm]}
        return HessianRegularizedMLPClassifier(**options)
    if arm not in PEERS:
        raise ValueError(
            f"Arm {arm!r} is not of this study; arms are {', '.join(STUDY.arms)}."
        )
    return make_peer(PEERS[arm], seed=seed, epochs=epochs, quick=quick, **net)


def _rows(arm, clf, X, y):
    """Score the first network, the first two, and so on; a forest is one."""
    if arm in OURS:
        found = clf.to_sklearn()
        networks = getattr(found, "estimators_", [found])
        epochs = [snapshot.epoch for snapshot in clf.snapshots_]
    elif arm == "ten voting":
        networks = clf.estimators_
        epochs = np.cumsum([network.n_iter_ for network in networks]).tolist()
    else:
        return [{"test_accuracy": clf.score(X, y)}]
    mean = np.cumsum([network.predict_proba(X) for network in networks], axis=0)
    rows = [
        {"epoch": epoch, "networks": i, "test_accuracy": (p.argmax(1) == y).mean()}
        for i, (epoch, p) in enumerate(zip(epochs, mean, strict=True), start=1)
    ]
    if arm in OURS:
        rows[-1]["epoch"] = clf.n_iter_
    return rows


STUDY = Study(
    name="cycles",
    run=run,
    columns=["epoch", "networks", "test_accuracy", "seconds"],
    datasets=DATASETS + NOT_UNIFORM,
    noises=(0.4, 0, 0.2),
    arms=[*OURS, *PEERS, "plain"],
    seeds=10,
    epochs=200,
)


main = STUDY.main

if __name__ == "__main__":
    main()
