"""What a user might fit instead: no epochs to look at, one row for each fit.

They get training and validation rows together and split them as they like.
"""

from time import process_time

from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.neural_network import MLPClassifier

from study.arms import make_estimator
from study.watch import measure

PEERS = [
    "MLPClassifier early_stopping",
    "RandomForestClassifier",
    "VotingClassifier MLPClassifier early_stopping",
    "CleanLearning MLPClassifier early_stopping",
    "CleanLearning ours n=3 k=10",
]


def make_peer(arm, *, seed, epochs, quick=False, **settings):
    """Build a peer by its name; those with a network take the settings of all arms."""
    first, _, rest = arm.partition(" ")
    if first == "CleanLearning":
        inner = make_peer if rest in PEERS else make_estimator
        return _clean_learning()(
            inner(rest, seed=seed, epochs=epochs, **settings),
            seed=seed,
            find_label_issues_kwargs={"n_jobs": 1},
        )
    if first == "VotingClassifier":
        seeds = range(100 * seed, 100 * seed + (2 if quick else 10))
        networks = [make_peer(rest, seed=s, epochs=epochs, **settings) for s in seeds]
        named = [(f"seed {s}", net) for s, net in zip(seeds, networks, strict=True)]
        return VotingClassifier(named, voting="soft")
    if first == "HistGradientBoostingClassifier":
        return HistGradientBoostingClassifier(random_state=seed)
    if first == "RandomForestClassifier":
        return RandomForestClassifier(10 if quick else 500, random_state=seed)
    return MLPClassifier(
        early_stopping=True, max_iter=epochs, random_state=seed, **settings
    )


def fit_peer(peer, split):
    """Fit on all labelled rows; return the one row of results."""
    X, y = split.labelled()
    start = process_time()
    peer.fit(X, y)
    row = {"epoch": getattr(peer, "n_iter_", None), "seconds": process_time() - start}
    return row | measure(peer, {"train": (X, y), "test": (split.X_test, split.y_test)})


def _clean_learning():
    """Import cleanlab, where it is used only."""
    try:
        from cleanlab.classification import CleanLearning
    except ImportError as error:
        raise ImportError(
            "The arms with CleanLearning need cleanlab. Install it with "
            "pip install 'sklearn_hessreg[study]', or leave them out with --arms."
        ) from error
    return CleanLearning
