"""
Digits with wrong labels: plain beside regularised
==================================================

A network that is trained long enough learns wrong labels by heart. Here 40 % of the
training labels of scikit-learn's digits are wrong, the test labels are all right, and
the same network is trained once plainly (``k=0``) and once with the method.
"""

import sys
import time
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from sklearn_hessreg import HessianRegularizedMLPClassifier

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X / 16, y, test_size=0.5, stratify=y, random_state=0
)

# %%
# Every wrong label is one of the nine other digits.

rng = np.random.default_rng(0)
wrong = rng.permutation(len(y_train))[: round(0.4 * len(y_train))]
y_noisy = y_train.copy()
y_noisy[wrong] = (y_train[wrong] + rng.integers(1, 10, len(wrong))) % 10

# %%
# Both classifiers begin with the same weights and see the same batches. The test data
# are only watched: without ``early_stopping`` they decide nothing.

warnings.simplefilter("ignore", ConvergenceWarning)  # the point is to train on and on
shared = {
    "hidden_layer_sizes": (128, 64),
    "batch_size": 16,
    "alpha": 0,
    "max_iter": 80,
    "n_iter_no_change": np.inf,
    "random_state": 0,
}
arms = {
    "plain, k=0": HessianRegularizedMLPClassifier(k=0, **shared),
    # an epoch has 84 batches: enough to recover from one event to the next
    "regularised, k=10": HessianRegularizedMLPClassifier(
        k=10, reinit_every=1, **shared
    ),
}
print(f"{'clean test accuracy':>41}{'wrong labels':>15}")
print(f"{'':19}{'last epoch':>11}{'best':>9}{'learned':>17}{'time':>9}")
for name, clf in arms.items():
    start = time.perf_counter()
    clf.fit(X_train, y_noisy, X_val=X_test, y_val=y_test)
    seconds = time.perf_counter() - start
    learned = np.mean(clf.predict(X_train)[wrong] == y_noisy[wrong])
    print(
        f"{name:19}{clf.validation_scores_[-1]:11.3f}"
        f"{clf.best_validation_score_:9.3f}{learned:17.3f}{seconds:7.1f} s"
    )

# %%
# The plain network passes its best epoch early and then learns the wrong labels.

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for name, clf in arms.items():
    epochs = np.arange(1, clf.n_iter_ + 1)
    left.plot(epochs, clf.validation_scores_, label=name)
    right.plot(epochs, clf.loss_curve_, label=name)
left.set(xlabel="epoch", ylabel="accuracy on clean test labels")
right.set(xlabel="epoch", ylabel="training loss (wrong labels included)")
left.legend()

if len(sys.argv) > 1:
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    fig.savefig(folder / "learning_curves.png", dpi=150)
    print(f"Learning curves drawn to {folder / 'learning_curves.png'}")
else:
    plt.show()
