"""
Start: a table with wrong labels
================================

You learn to go from loading a table to a decision: which model, whether the method
helps, and how to use it afterwards without torch. One in five labels of the training
data is wrong here; which ones, no model is told.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_validate, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_hessreg import HessianRegularizedMLPClassifier, TrainingCurveDisplay

X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.5, stratify=y, random_state=0
)
rng = np.random.default_rng(0)
wrong = rng.permutation(len(y_train))[: round(0.2 * len(y_train))]
y_train[wrong] = 1 - y_train[wrong]

# %%
# The classifier stands where MLPClassifier stood, with the same parameters. It sets a
# tenth of the rows aside. Where their loss no longer falls it keeps the network, draws
# most of its weights anew and goes on. Predictions are the mean of the networks kept.

clf = HessianRegularizedMLPClassifier(random_state=0)
model = make_pipeline(StandardScaler(), clf).fit(X_train, y_train)
print(f"{len(clf.snapshots_)} networks, {clf.n_iter_} epochs")

# %%
# Is it worth it? Its rivals, by cross-validation on the training data. The labels of
# the folds left out are as wrong as the others, so nobody can reach more than about 0.8
# by them; but they are wrong for all models alike, and the order counts. The clean test
# labels, which one does not have in practice, show what the order would be.


def scores(model, X, y):
    """Score on the labels given and on clean ones."""
    return {"given": model.score(X, y), "clean": model.score(X_test, y_test)}


warnings.simplefilter("ignore", ConvergenceWarning)  # of MLPClassifier
models = {
    "MLPClassifier": MLPClassifier(random_state=0, max_iter=200),
    "MLPClassifier,\nearly stopping": MLPClassifier(
        early_stopping=True, random_state=0
    ),
    "random forest": RandomForestClassifier(random_state=0),
    "this method": clf,
}
found = {}
for name, rival in models.items():
    pipeline = make_pipeline(StandardScaler(), rival)
    found[name] = cross_validate(pipeline, X_train, y_train, scoring=scores, cv=5)
    given, clean = (found[name][f"test_{kind}"].mean() for kind in ("given", "clean"))
    print(f"{' '.join(name.split()):30} wrong labels {given:.3f}, clean {clean:.3f}")

# %%
# The method is ahead by the wrong labels and by the clean ones. On other data, and with
# fewer wrong labels, it may be the forest: try both.

fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
styles = {"given": ("s", "0.6"), "clean": ("o", "#0072B2")}
labels = {"given": "folds left out, labels partly wrong", "clean": "clean test labels"}
for row, name in enumerate(found):
    for kind, (marker, colour) in styles.items():
        values = found[name][f"test_{kind}"]
        label = labels[kind] if row == 0 else None
        ax.plot(values, [row] * len(values), marker, color=colour, alpha=0.5, ms=5)
        ax.plot(values.mean(), row, marker, color=colour, ms=10, label=label)
ax.set_yticks(range(len(found)), found)
ax.invert_yaxis()
ax.set(xlabel="accuracy", title="One in five training labels is wrong")
fig.legend(loc="outside lower center", ncols=2)
plt.show()

# %%
# How much should be drawn anew? ``k`` is the percentage, and 0 is plain training, so
# the search asks your data whether the method helps.

grid = {"hessianregularizedmlpclassifier__k": [0, 30, 70, 100]}
search = GridSearchCV(model, grid, cv=5).fit(X_train, y_train)
for k, score in zip(*grid.values(), search.cv_results_["mean_test_score"], strict=True):
    print(f"k={k:3}: {score:.3f}")
print(f"chosen: {search.best_params_}, clean {search.score(X_test, y_test):.3f}")

# %%
# Look at a training: each cycle begins with a fall, and ends at a mark, where its
# network has not become better for more than ten epochs and is kept.

curves = TrainingCurveDisplay.from_estimator(model)
curves.figure_.suptitle("Training in cycles")
plt.show()

# %%
# To use it elsewhere: scikit-learn's own classifier with the same predictions, which
# needs neither torch nor this package.

deployed = clf.to_sklearn()
print(type(deployed).__name__, "of", len(deployed.estimators_), "MLPClassifiers")
scaled = model[:-1].transform(X_test)
assert np.allclose(deployed.predict_proba(scaled), clf.predict_proba(scaled))
