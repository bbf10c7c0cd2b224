"""Which labels are wrong? Ours beside cross-validated models with cleanlab's scores.

The training labels are wrong by design, so it is known which; each arm scores them, and
a run is one row: the area under the ROC curve for finding the wrong ones, and how many
of the rows that are ranked first are wrong, as many as there are wrong ones. Ours is
one fit; a cross-validated model is five, of whose probabilities cleanlab makes the same
margin; CleanLearning is cleanlab's own. Of ours there are also ``oob_score_``, on the
noisy labels, and the accuracy on new rows, on right ones.
"""

from time import process_time

import numpy as np
from cleanlab.classification import CleanLearning
from cleanlab.rank import get_label_quality_scores
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.neural_network import MLPClassifier

from sklearn_hessreg import HessianRegularizedMLPClassifier
from study import data, keel
from study.runner import Study

TABLES = (
    *("contraceptive", "led7digit", "optdigits", "phoneme", "satimage"),
    *("segment", "spambase", "texture", "vehicle", "vowel"),
)
OWN = ("digits", "classification", "mnist-1000")
KINDS = ("", "-pairs", "-boundary")
OURS = "ours"
MODELS = {
    "forest": lambda seed: RandomForestClassifier(random_state=seed),
    "forest, leaves of 5": lambda seed: RandomForestClassifier(
        min_samples_leaf=5, random_state=seed
    ),
    "MLPClassifier": lambda seed: MLPClassifier(random_state=seed),
    "boosting": lambda seed: HistGradientBoostingClassifier(random_state=seed),
}
CLEAN_LEARNING = {
    "CleanLearning, forest": "forest",
    "CleanLearning, MLPClassifier": "MLPClassifier",
}


def kind(dataset):
    """Say how the labels of a data set are wrong."""
    name, _ = data.kind_of_noise(dataset)
    return dataset[len(name) + 1 :] or "uniform"


def load(dataset, noise, seed, quick):
    """Return X, the given labels, the true ones, and test rows with true labels."""
    name, _ = data.kind_of_noise(dataset)
    if name in OWN:
        split, clean = (data.load(dataset, n, seed, quick) for n in (noise, 0))
        (X, y), (_, truth) = split.labelled(), clean.labelled()
        return X, y, truth, split.X_test, split.y_test
    X, y, X_test, y_test = keel.load(dataset, noise, seed, quick)
    return X, y, keel.load(dataset, 0, seed, quick)[1], X_test, y_test


def quality(arm, X, y, seed, epochs):
    """Score the labels by one arm; return the scores, and the model if it is ours."""
    if arm == OURS:
        clf = HessianRegularizedMLPClassifier(
            max_iter=epochs, oob_score=True, random_state=seed
        )
        return clf.fit(X, y).label_quality(X, y), clf
    if arm in CLEAN_LEARNING:
        model = CleanLearning(MODELS[CLEAN_LEARNING[arm]](seed), seed=seed)
        return model.find_label_issues(X, y)["label_quality"].to_numpy(), None
    proba = cross_val_predict(MODELS[arm](seed), X, y, cv=5, method="predict_proba")
    return get_label_quality_scores(y, proba, method="normalized_margin"), None


def run(key, epochs, quick):
    """Score the labels of one data set by one arm; return its one row."""
    dataset, noise, arm, seed = key
    X, y, truth, X_test, y_test = load(dataset, noise, seed, quick)
    y = np.unique(y, return_inverse=True)[1]
    is_wrong = y != np.unique(truth, return_inverse=True)[1]
    start = process_time()
    scores, clf = quality(arm, X, y, seed, epochs)
    row = {"seconds": process_time() - start, "wrong": is_wrong.sum()}
    row["auc"] = roc_auc_score(is_wrong, -scores)
    row["precision"] = is_wrong[np.argsort(scores)[: is_wrong.sum()]].mean()
    if clf is not None:
        row["epoch"] = clf.n_iter_
        row["oob_score"] = clf.oob_score_
        row["test_accuracy"] = clf.score(X_test, y_test)
    return [row]


STUDY = Study(
    name="label_quality",
    run=run,
    columns=[
        *("epoch", "wrong", "auc", "precision"),
        *("oob_score", "test_accuracy", "seconds"),
    ],
    datasets=tuple(name + kind for kind in KINDS for name in (*OWN, *TABLES)),
    noises=(0.1, 0.2, 0.4),
    arms=[OURS, *MODELS, *CLEAN_LEARNING],
    seeds=5,
    epochs=1000,
    file="tables",
)
main = STUDY.main

if __name__ == "__main__":
    main()
