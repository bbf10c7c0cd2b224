"""
MNIST with wrong labels
=======================

You learn what the picture on the first page is made of: 4,000 images of MNIST, 40 % of
whose labels are wrong, trained plainly, with early stopping, and with the method.

The images come from the file named by the environment variable ``HESSREG_MNIST`` (an
npz with X_train, y_train, X_test, y_test), and otherwise from OpenML. Where that
variable is not set when the documentation is built, this page shows the script without
its output. It takes about a minute.
"""

# sphinx_gallery_thumbnail_path = 'figures/first.png'
import warnings

import matplotlib.pyplot as plt
import numpy as np
from mnist import load_mnist
from sklearn.exceptions import ConvergenceWarning

from sklearn_hessreg import HessianRegularizedMLPClassifier

X_train, y_train, X_test, y_test = load_mnist()
rng = np.random.default_rng(0)
rows = rng.choice(len(X_train), 4000, replace=False)
X_train, y_train = X_train[rows], y_train[rows]
wrong = rng.permutation(len(y_train))[: round(0.4 * len(y_train))]
y_train[wrong] = (y_train[wrong] + rng.integers(1, 10, len(wrong))) % 10

# %%
# With ``k=0`` nothing is redrawn. Plain training goes on for 60 epochs; the clean test
# data are scored after each, ``scoring=None`` being accuracy, and decide nothing.

warnings.simplefilter("ignore", ConvergenceWarning)  # plain training goes on and on
net = {"hidden_layer_sizes": (256, 128, 64), "batch_size": 64, "random_state": 0}
plain = HessianRegularizedMLPClassifier(
    k=0, scoring=None, max_iter=60, n_iter_no_change=np.inf, **net
).fit(X_train, y_train, X_val=X_test, y_val=y_test)
stopped = HessianRegularizedMLPClassifier(k=0, early_stopping=True, **net)
cycles = HessianRegularizedMLPClassifier(max_iter=200, **net)
for name, clf in {"early stopping": stopped, "cycles": cycles}.items():
    accuracy = clf.fit(X_train, y_train).score(X_test, y_test)
    print(f"{name:14} {accuracy:.3f} after {clf.n_iter_} epochs")
print(f"{'plain':14} {plain.validation_scores_[-1]:.3f} after {plain.n_iter_} epochs")

# %%
# Plain training passes its best epoch early, and then learns the wrong labels by heart.
# Each network more in the mean helps.

networks = cycles.to_sklearn().estimators_
totals = np.cumsum([network.predict_proba(X_test) for network in networks], axis=0)
means = [np.mean(total.argmax(1) == y_test) for total in totals]
ends = [snapshot.epoch for snapshot in cycles.snapshots_]
fig, ax = plt.subplots(layout="constrained")
epochs = range(1, plain.n_iter_ + 1)
ax.plot(epochs, plain.validation_scores_, "--", color="0.4", label="plain training")
ax.plot(ends, means, "o-", color="#0072B2", label="the method, networks averaged")
ax.plot(
    stopped.n_iter_, stopped.score(X_test, y_test), "kD", ms=8, label="early stopping"
)
ax.set(
    xlabel="epochs of training",
    ylabel="accuracy on clean test labels",
    title="MNIST, 4,000 images, 40 % of the training labels wrong",
)
ax.legend()
plt.show()
