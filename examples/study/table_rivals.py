"""What a user would fit to a small table instead: trees, ten networks, tuned ones.

Networks are MLPClassifier's of 100 hidden units, early-stopped, or those of the
estimator with k=0 in a grid search over their dropout or weight decay, three folds of
the labels as they are. Of several labels boosting fits each for itself; CleanLearning
takes one label a row.
"""

import numpy as np
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier

from sklearn_hessreg import HessianRegularizedMLPClassifier
from study.cycles import PEERS
from study.peers import make_peer

GRIDS = {
    "dropout tuned": {"dropout": [0, 0.1, 0.3, 0.5]},
    "weight decay tuned": {"alpha": [1e-4, 0.01, 0.1, 1]},
}
ARMS = [*GRIDS, *PEERS]


def fit(arm, X, y, *, seed, epochs, quick=False):
    """Fit a rival; return the function that predicts, or None for labels it refuses."""
    several = np.ndim(y) == 2
    if arm in GRIDS:
        net = HessianRegularizedMLPClassifier(
            k=0, max_iter=epochs, random_state=seed, device="cpu"
        )
        clf = GridSearchCV(net, GRIDS[arm], cv=3)
    elif several and arm == "CleanLearning":
        return None
    else:
        clf = make_peer(PEERS[arm], seed=seed, epochs=epochs, quick=quick)
    if several and arm == "boosting":
        clf = MultiOutputClassifier(clf)
    if several and arm == "ten voting":
        return _mean_of([network for _, network in clf.estimators], X, y)
    return clf.fit(X, y).predict


def _mean_of(networks, X, y):
    """Let networks vote on several labels, which VotingClassifier does not take."""
    for network in networks:
        network.fit(X, y)
    return lambda X: np.mean([net.predict_proba(X) for net in networks], axis=0) > 0.5
