"""
A rare class in a table with strings and missing values
=======================================================

You learn to find a rare class, with ``class_weight="balanced"`` (which MLPClassifier
lacks), in a pipeline for strings and missing values, and how to judge it.

One row in 17 is of the class that matters, some columns are strings, and one cell in
ten is missing. The data come from ``make_classification``. Hardly any label is wrong,
so there is little for the method to prevent.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import (
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_validate,
)
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_hessreg import HessianRegularizedMLPClassifier

warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of epochs is meant

values, y = make_classification(
    n_samples=4000,
    n_features=10,
    n_informative=7,
    n_redundant=0,
    n_clusters_per_class=3,
    weights=[0.95],
    flip_y=0.02,
    shuffle=False,
    random_state=0,
)
X = pd.DataFrame(values).add_prefix("measure_")
for column, name in {0: "site", 1: "grade", 7: "shift"}.items():
    levels = pd.qcut(X.pop(f"measure_{column}"), 4, labels=["a", "b", "c", "d"])
    X[name] = levels.cat.as_unordered()
X = X.mask(np.random.default_rng(0).random(X.shape) < 0.1)
print(f"{y.mean():.1%} of {len(y)} rows are of the rare class")
X.head()

# %%
# Missing numbers are imputed and marked; a missing string is a category of its own.
# Gradient boosting takes the table as it is.

numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
prepare = make_column_transformer(
    (numbers, make_column_selector(dtype_include="number")),
    (
        OneHotEncoder(handle_unknown="ignore"),
        make_column_selector(dtype_include="category"),
    ),
)
net = {"hidden_layer_sizes": 32, "batch_size": 64, "random_state": 0}
stopping = {"n_iter_no_change": 5, "n_snapshots": 4}


def balanced(**settings):
    """Make a pipeline whose network weights the classes."""
    return make_pipeline(
        prepare,
        HessianRegularizedMLPClassifier(class_weight="balanced", **net, **settings),
    )


models = {
    "LogisticRegression, balanced": make_pipeline(
        prepare, LogisticRegression(class_weight="balanced")
    ),
    "HistGradientBoosting, balanced": HistGradientBoostingClassifier(
        class_weight="balanced", random_state=0
    ),
    "MLPClassifier, 30 epochs": make_pipeline(
        prepare, MLPClassifier(max_iter=30, **net)
    ),
    "balanced, 30 epochs": balanced(k=0, max_iter=30),
    "balanced, early stopping": balanced(k=0, early_stopping=True, **stopping),
    "balanced, in cycles": balanced(**stopping),
}
models["balanced, in cycles"].fit(X, y)

# %%
# Accuracy would praise a model that never finds the rare class. Average precision
# judges the ranking, balanced accuracy the decision: at the threshold of 0.5, and at
# one that TunedThresholdClassifierCV chooses on a quarter of the training data.


def at_half(tuned, X, y):
    """Balanced accuracy of the model inside, whose threshold is 0.5."""
    return balanced_accuracy_score(y, tuned.estimator_.predict(X))


folds = StratifiedKFold(3, shuffle=True, random_state=0)
scoring = {
    "average precision": "average_precision",
    "balanced accuracy at 0.5": at_half,
    "balanced accuracy, tuned": "balanced_accuracy",
}
scores = {}
for name, model in models.items():
    tuned = TunedThresholdClassifierCV(model, cv=0.25, random_state=0)
    result = cross_validate(tuned, X, y, cv=folds, scoring=scoring)
    scores[name] = {metric: result[f"test_{metric}"] for metric in scoring}
means = pd.DataFrame(scores).map(np.mean).T
print(means.round(3).to_string())

# %%
# Each dot is one of three folds, each stroke their mean. Balanced weights bring the
# networks to good decisions at 0.5. A threshold chosen afterwards does about as much
# for MLPClassifier without weights. Gradient boosting ranks best. As hardly a label is
# wrong, cycles gain nothing over early stopping or 30 epochs.

fig, axes = plt.subplots(3, figsize=(6.4, 8), sharey=True, layout="constrained")
for ax, metric in zip(axes, scoring, strict=True):
    for row, name in enumerate(models):
        ax.plot(scores[name][metric], [row] * 3, "o", color=f"C{row}", alpha=0.5)
        ax.plot(means.loc[name, metric], row, "|", color=f"C{row}", ms=20, mew=2)
    ax.set_xlabel(metric)
axes[0].set_title("Six models of a class of one row in 17")
axes[0].set_yticks(range(len(models)), models)
axes[0].set_ylim(len(models) - 0.5, -0.5)
axes[1].set_xlim(0.5, 0.8)
axes[2].set_xlim(0.5, 0.8)
plt.show()
