"""Do the defaults harm clean tables? Fourteen small tables, the estimator as it comes.

Standardised features, a third of the rows held out, one hidden layer of 100 units, the
defaults but for what an arm's name says, and scikit-learn's ``early_stopping`` and
``scoring``. Labels are clean, or a share of them is wrong
in the training rows: uniformly another class, of two classes three quarters of the
share; of several labels all of a row. One row for each run; ``epoch`` is how many were
trained, ``snapshots`` how many networks are averaged. Of several labels a row counts as
right if all of them are. An arm that is ``long`` has 1,000 epochs, the others 200.
Rivals are those of `study.table_rivals`; a row without an accuracy is of one that does
not take the table's labels. The file's name tells the schedule, the estimator's own.
"""

from functools import partial
from time import process_time

import numpy as np
from sklearn import datasets
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from sklearn_hessreg import HessianRegularizedMLPClassifier
from study import table_rivals
from study.cycles import PAPER
from study.data import with_wrong_labels
from study.runner import Study, epochs_of

RECOMMENDED = "default early_stopping loss long"
# the defaults with which the stored results were made, scikit-learn's
AS_SKLEARN = {"early_stopping": False, "scoring": None}
_BY_LOSS = {"early_stopping": True, "scoring": "loss"}
ARMS = {
    "none": {"k": 0},
    "default": {},
    "none early_stopping": {"k": 0, "early_stopping": True},
    "default early_stopping": {"early_stopping": True},
    "none early_stopping loss": {"k": 0, **_BY_LOSS},
    "default early_stopping loss": _BY_LOSS,
    RECOMMENDED: _BY_LOSS,
    "random early_stopping loss long": {"importance": "random", **_BY_LOSS},
    "none long": {"k": 0},
}
# the other candidates for the defaults; five seeds of ten
_OTHERS = {
    "k=10 n=1": PAPER,
    "k=10 n=2": PAPER | {"n": 2},
    "k=30 n=1": PAPER | {"k": 30},
    "k=30 n=2": PAPER | {"k": 30, "n": 2},
    "k=10 n=1 per_sample": PAPER | {"curvature": "per_sample"},
    "k=10 n=1 random": PAPER | {"importance": "random"},
    "k=10 n=1 largest": PAPER | {"importance": "magnitude"},
    "mean_loss": {"curvature": "mean_loss"},
    "kept": {"optimizer_state": "keep"},
    "random": {"importance": "random"},
    "largest": {"importance": "magnitude"},
}
for _name, _options in _OTHERS.items():
    ARMS[f"{_name} early_stopping"] = {"early_stopping": True, **_options}


def _classes(rows, seed):
    """Make a table of three classes."""
    return datasets.make_classification(
        rows, 20, n_informative=8, n_classes=3, random_state=seed
    )


def _circles(seed):
    """Make one circle inside of another."""
    return datasets.make_circles(1000, noise=0.1, factor=0.6, random_state=seed)


def _blobs(seed):
    """Make five blobs that overlap."""
    return datasets.make_blobs(
        1000, centers=5, n_features=5, cluster_std=3.0, random_state=seed
    )


def _quantiles(seed):
    """Make three shells."""
    return datasets.make_gaussian_quantiles(
        n_samples=2000, n_features=5, n_classes=3, random_state=seed
    )


def _multilabel(labels, seed, **options):
    """Make a table of several labels for each row."""
    return datasets.make_multilabel_classification(
        1000, 20, n_classes=labels, random_state=seed, **options
    )


TABLES = {
    "iris": lambda seed: datasets.load_iris(return_X_y=True),
    "wine": lambda seed: datasets.load_wine(return_X_y=True),
    "cancer": lambda seed: datasets.load_breast_cancer(return_X_y=True),
    "digits": lambda seed: datasets.load_digits(return_X_y=True),
    "moons": lambda seed: datasets.make_moons(1000, noise=0.25, random_state=seed),
    "circles": _circles,
    "blobs": _blobs,
    "hastie": lambda seed: datasets.make_hastie_10_2(3000, random_state=seed),
    "quantiles": _quantiles,
    "class300": partial(_classes, 300),
    "class1000": partial(_classes, 1000),
    "class5000": partial(_classes, 5000),
    "multi1": partial(_multilabel, 5),
    "multi2": partial(_multilabel, 8, allow_unlabeled=False),
}


def load(name, seed):
    """Make a table and split it: X_train, X_test, y_train, y_test."""
    X, y = TABLES[name](seed)
    strata = None if y.ndim == 2 else y
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=1 / 3, random_state=seed, stratify=strata
    )
    scaler = StandardScaler().fit(X_train)
    return scaler.transform(X_train), scaler.transform(X_test), y_train, y_test


def spoil(y, share, rng):
    """Make a share of the labels wrong."""
    if y.ndim == 2:
        wrong = rng.permutation(len(y))[: round(share * len(y))]
        y = y.copy()
        y[wrong] = 1 - y[wrong]
        return y
    classes, indices = np.unique(y, return_inverse=True)
    if len(classes) == 2:
        share *= 0.75
    return classes[with_wrong_labels(indices, share, rng)]


def run(key, epochs, quick):
    """Fit one arm on one table; return its one row."""
    dataset, noise, arm, seed = key
    if arm not in STUDY.arms:
        raise ValueError(
            f"Arm {arm!r} is not of this study; arms are {', '.join(STUDY.arms)}."
        )
    X_train, X_test, y_train, y_test = load(dataset, seed)
    y_train = spoil(y_train, noise, np.random.default_rng(seed))
    if quick:
        X_train, y_train = X_train[:100], np.asarray(y_train)[:100]
    start = process_time()
    epochs = epochs_of(arm, epochs)
    if arm in ARMS:
        clf = HessianRegularizedMLPClassifier(
            max_iter=epochs,
            random_state=seed,
            device="cpu",
            **AS_SKLEARN | ARMS[arm],
        ).fit(X_train, y_train)
        predict = clf.predict
        row = {"epoch": clf.n_iter_, "snapshots": len(clf.snapshots_)}
    else:
        options = {"seed": seed, "epochs": epochs, "quick": quick}
        predict = table_rivals.fit(arm, X_train, y_train, **options)
        row = {}
    row["seconds"] = process_time() - start
    if predict is not None:
        row["test_accuracy"] = accuracy_score(y_test, predict(X_test))
    return [row]


STUDY = Study(
    name="tables",
    run=run,
    columns=["epoch", "snapshots", "test_accuracy", "seconds"],
    datasets=tuple(TABLES),
    noises=(0, 0.2, 0.4),
    arms=[*ARMS, *table_rivals.ARMS],
    seeds=10,
    epochs=200,
    file="plateau",
)


main = STUDY.main

if __name__ == "__main__":
    main()
