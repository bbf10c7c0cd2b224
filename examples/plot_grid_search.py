"""
GridSearchCV over k and n, in a pipeline
========================================

``k=0`` is the network without the method, so a grid holds its own baseline and answers
the question whether the method helps on these data. Here 30 % of the training labels
are wrong; the search sees the noisy labels only, the test labels are clean.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_hessreg import HessianRegularizedMLPClassifier

warnings.simplefilter("ignore", ConvergenceWarning)  # max_iter is small on purpose

X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
rng = np.random.default_rng(0)
wrong = rng.permutation(len(y_train))[: round(0.3 * len(y_train))]
y_train[wrong] = 1 - y_train[wrong]

model = Pipeline(
    [
        ("scale", StandardScaler()),
        (
            "mlp",
            HessianRegularizedMLPClassifier(
                (50,), batch_size=16, max_iter=60, n_iter_no_change=60, random_state=0
            ),
        ),
    ]
)
grid = {"mlp__k": [0, 2, 5, 10, 20], "mlp__n": [1, 2]}
search = GridSearchCV(model, grid, cv=3).fit(X_train, y_train)

# %%
# The table a user would look at. With ``k=0`` the value of ``n`` does not matter.

results = search.cv_results_
means, stds = results["mean_test_score"], results["std_test_score"]
for params, mean, std in zip(results["params"], means, stds, strict=True):
    print(f"k={params['mlp__k']:2}, n={params['mlp__n']}: {mean:.3f} +- {std:.3f}")
plain = model.set_params(mlp__k=0).fit(X_train, y_train)
print(f"chosen: {search.best_params_}")
print(f"clean test accuracy, chosen: {search.score(X_test, y_test):.3f}")
print(f"clean test accuracy, k=0:    {plain.score(X_test, y_test):.3f}")

# %%
# Cross-validated accuracy on the noisy labels.

fig, ax = plt.subplots(layout="constrained")
scores = means.reshape(len(grid["mlp__k"]), -1)
spread = stds.reshape(scores.shape)
for column, n in enumerate(grid["mlp__n"]):
    ax.errorbar(
        np.array(grid["mlp__k"]) + 0.3 * column,  # side by side, not on top
        scores[:, column],
        yerr=spread[:, column],
        marker="o",
        capsize=3,
        label=f"n={n}",
    )
ax.set(xlabel="k (percent)", ylabel="cross-validated accuracy, noisy labels")
ax.legend()
plt.show()
