"""The strongest rivals on the real tables: data cleaning, trees, networks for tables.

RealMLP and TabM are those of pytabkit, with its tuned defaults. ``make study`` installs
what they need of it, and runs the slow ones of them on the twelve smallest tables.
"""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.neural_network import MLPClassifier

from sklearn_hessreg import HessianRegularizedMLPClassifier


class CleanedClassifier(ClassifierMixin, BaseEstimator):
    """A classifier trained without the rows whose labels cleanlab finds wrong.

    ``find`` is ``"CleanLearning"``, which cross-validates the classifier, or ``"oob"``:
    cleanlab's filter on the classifier's out-of-bag probabilities.
    """

    def __init__(self, classifier, find, seed):
        self.classifier = classifier
        self.find = find
        self.seed = seed

    def fit(self, X, y):
        """Fit to the rows that are left."""
        self.classes_, y = np.unique(y, return_inverse=True)
        fit = self._clean_learning if self.find == "CleanLearning" else self._oob
        self.model_ = fit(X, y)
        return self

    def predict_proba(self, X):
        """Predict; a class without a row left has probability zero."""
        found = self.model_.predict_proba(X)
        model = getattr(self.model_, "clf", self.model_)
        proba = np.zeros((len(found), len(self.classes_)))
        proba[:, model.classes_] = found
        return proba

    def _clean_learning(self, X, y):
        """Fit cleanlab's CleanLearning."""
        from cleanlab.classification import CleanLearning

        options = {"n_jobs": 1}
        model = CleanLearning(
            self.classifier, seed=self.seed, find_label_issues_kwargs=options
        )
        return model.fit(X, y)

    def _oob(self, X, y):
        """Fit again without the rows that the out-of-bag probabilities accuse."""
        from cleanlab.filter import find_label_issues

        finder = clone(self.classifier).set_params(oob_score=True)
        proba = finder.fit(X, y).oob_decision_function_
        seen = ~np.isnan(proba).any(axis=1)
        is_wrong = np.zeros(len(y), dtype=bool)
        is_wrong[seen] = find_label_issues(y[seen], proba[seen], n_jobs=1)
        return self.classifier.fit(X[~is_wrong], y[~is_wrong])


def _of_pytabkit(name):
    """Return what makes a classifier of pytabkit that computes in one thread."""

    def make(seed):
        import pytabkit

        kind = getattr(pytabkit, f"{name}_Classifier")
        return kind(device="cpu", random_state=seed, n_threads=1, verbosity=0)

    return make


def _forest(rows):
    """Return what makes a forest whose leaves have at least so many rows."""
    return lambda seed: RandomForestClassifier(min_samples_leaf=rows, random_state=seed)


STRONG = {
    "forest, leaves of 5": _forest(5),
    "forest, leaves of 20": _forest(20),
    "extra trees": lambda seed: ExtraTreesClassifier(random_state=seed),
    "ours, suspects dropped": lambda seed: CleanedClassifier(
        HessianRegularizedMLPClassifier(random_state=seed), "oob", seed
    ),
    "gce, suspects dropped": lambda seed: CleanedClassifier(
        HessianRegularizedMLPClassifier(loss="gce", random_state=seed), "oob", seed
    ),
    "forest, suspects dropped": lambda seed: CleanedClassifier(
        RandomForestClassifier(random_state=seed), "oob", seed
    ),
    "CleanLearning, forest": lambda seed: CleanedClassifier(
        RandomForestClassifier(random_state=seed), "CleanLearning", seed
    ),
    "CleanLearning, MLPClassifier": lambda seed: CleanedClassifier(
        MLPClassifier(random_state=seed), "CleanLearning", seed
    ),
    "MLPClassifier": lambda seed: MLPClassifier(random_state=seed),
    "MLPClassifier by accuracy": lambda seed: MLPClassifier(
        early_stopping=True, max_iter=1000, random_state=seed
    ),
    "RealMLP_TD_S": _of_pytabkit("RealMLP_TD_S"),
}
# too slow for all tables
SLOW = {name: _of_pytabkit(name) for name in ("RealMLP_TD", "TabM_D")}
