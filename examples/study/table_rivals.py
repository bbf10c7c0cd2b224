"""What a user would fit to a small table instead: trees, ten networks, tuned ones.

Networks are MLPClassifier's of 100 hidden units, early-stopped, or those of the
estimator with k=0 in a grid search over their dropout or weight decay, three folds of
the labels as they are. Of several labels boosting fits each for itself; CleanLearning
takes one label a row.
"""

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier

from sklearn_hessreg import HessianRegularizedMLPClassifier
from study.peers import make_peer

GRIDS = {
    "dropout tuned": {"dropout": [0, 0.1, 0.3, 0.5]},
    "weight decay tuned": {"alpha": [1e-4, 0.01, 0.1, 1]},
}
_SINGLE = {
    "forest": "RandomForestClassifier",
    "CleanLearning": "CleanLearning MLPClassifier early_stopping",
}
TEN = "ten voting"
BOOSTING = "boosting"
ARMS = [*GRIDS, TEN, *_SINGLE, BOOSTING]


def fit(arm, X, y, *, seed, epochs, quick=False):
    """Fit a rival; return the function that predicts, or None for labels it refuses."""
    options = {"seed": seed, "epochs": epochs, "quick": quick}
    if arm == TEN:
        return _ten(X, y, **options)
    several = np.ndim(y) == 2
    if arm in GRIDS:
        net = HessianRegularizedMLPClassifier(
            k=0, max_iter=epochs, random_state=seed, device="cpu"
        )
        clf = GridSearchCV(net, GRIDS[arm], cv=3)
    elif arm == BOOSTING:
        clf = HistGradientBoostingClassifier(random_state=seed)
        clf = MultiOutputClassifier(clf) if several else clf
    elif several and arm == "CleanLearning":
        return None
    else:
        clf = make_peer(_SINGLE[arm], **options)
    return clf.fit(X, y).predict


def _ten(X, y, *, seed, epochs, quick):
    """Fit ten networks; VotingClassifier takes no several labels of a row."""
    arm = "MLPClassifier early_stopping"
    seeds = range(100 * seed, 100 * seed + (2 if quick else 10))
    networks = [make_peer(arm, seed=s, epochs=epochs).fit(X, y) for s in seeds]

    def predict(X):
        p = np.mean([network.predict_proba(X) for network in networks], axis=0)
        if np.ndim(y) == 2:
            return (p > 0.5).astype(int)
        return networks[0].classes_[p.argmax(axis=1)]

    return predict
