"""
Wrong labels: plain training, early stopping, cycles, rivals
============================================================

You learn what wrong labels do to a network, what early stopping saves, and what the
method adds to that.

40 % of the training labels of scikit-learn's digits are wrong; the test labels are all
right. The same network is trained plainly, with early stopping, and with the method:
early stopping in cycles, whose networks are averaged. Beside them are ten networks
trained apart, with the same early stopping, and a random forest.
"""

import sys
import time
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from skorch.callbacks import Callback

from sklearn_hessreg import HessianRegularizedMLPClassifier

SEEDS = 3

# %%
# Every wrong label is one of the nine other digits. Early stopping sets a tenth of the
# training rows aside, whose labels are as wrong as the others.


def digits_with_wrong_labels(seed):
    """Split the digits in halves: X_train, X_test, y_train, y_test, which are wrong."""
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X / 16, y, test_size=0.5, stratify=y, random_state=seed
    )
    rng = np.random.default_rng(seed)
    wrong = rng.permutation(len(y_train))[: round(0.4 * len(y_train))]
    y_train[wrong] = (y_train[wrong] + rng.integers(1, 10, len(wrong))) % 10
    return X_train, X_test, y_train, y_test, wrong


# %%
# All networks of a seed begin with the same weights. A callback of skorch watches the
# clean test data; they decide nothing.


class CleanAccuracy(Callback):
    """Record the accuracy of the network in training on clean test labels."""

    def __init__(self, X, y):
        self.X = X
        self.y = y

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Add a column to the history."""
        right = net.predict_proba(self.X).argmax(1) == self.y
        net.history.record("clean_accuracy", float(right.mean()))


warnings.simplefilter("ignore", ConvergenceWarning)  # plain training goes on and on
stopped = {"k": 0, "early_stopping": True, "n_iter_no_change": 5}


def network(seed, **settings):
    """Make a classifier of one size."""
    return HessianRegularizedMLPClassifier(
        hidden_layer_sizes=(128, 64, 32),
        batch_size=32,
        max_iter=100,
        random_state=seed,
        **settings,
    )


def arms(seed, watch):
    """Make the classifiers that are compared."""
    ten = [(str(i), network(100 * seed + i, **stopped)) for i in range(10)]
    return {
        "plain": network(seed, k=0, n_iter_no_change=np.inf, skorch_callbacks=watch),
        "early stopping": network(seed, **stopped),
        "cycles": network(seed, n_iter_no_change=5, skorch_callbacks=watch),
        "ten networks": VotingClassifier(ten, voting="soft"),
        "random forest": RandomForestClassifier(random_state=seed),
    }


first, results = {}, {}
for seed in range(SEEDS):
    X_train, X_test, y_train, y_test, wrong = digits_with_wrong_labels(seed)
    for name, clf in arms(seed, [("clean", CleanAccuracy(X_test, y_test))]).items():
        start = time.perf_counter()
        clf.fit(X_train, y_train)
        seconds = time.perf_counter() - start
        learned = np.mean(clf.predict(X_train)[wrong] == y_train[wrong])
        results.setdefault(name, []).append(
            [clf.score(X_test, y_test), learned, seconds]
        )
        if seed == 0:
            first[name] = clf

# %%
# The table: means over the seeds. "Learned" is the share of the wrong labels that the
# classifier predicts for the rows that it was trained on.

print(f"{f'mean of {SEEDS} seeds':18}{'clean':>9}{'wrong labels':>14}")
print(f"{'':18}{'accuracy':>9}{'learned':>14}{'time':>8}")
for name, runs in results.items():
    accuracy, learned, seconds = np.mean(runs, axis=0)
    print(f"{name:18}{accuracy:9.3f}{learned:14.3f}{seconds:6.1f} s")
gains = np.subtract(results["cycles"], results["early stopping"])[:, 0]
print("cycles minus early stopping, by seed:", *(f"{gain:+.3f}" for gain in gains))

# %%
# Above, the first seed: plain training passes its best epoch early and then learns the
# wrong labels. A cycle begins with a fall, and ends where its network has not become
# better for more than five epochs. What predicts is the mean of the networks kept so
# far. Below, the end of all seeds, a grey line for each.

_, X_test, _, y_test, _ = digits_with_wrong_labels(0)
black, blue, red, *_ = COLOURS = [
    *("#000000", "#0072B2", "#D55E00"),
    *("#009E73", "#CC79A7"),
]
fig, (above, below) = plt.subplots(
    2, figsize=(6.4, 7.5), height_ratios=(1.5, 1), layout="constrained"
)
plain, stopped, clf = (first[name] for name in ("plain", "early stopping", "cycles"))
for one, style in (
    (plain, {"ls": "--", "color": black, "label": "plain"}),
    (clf, {"lw": 0.7, "color": red, "label": "cycles, network in training"}),
):
    epochs = range(1, one.n_iter_ + 1)
    above.plot(epochs, one.history_[:, "clean_accuracy"], **style)
accuracy = stopped.score(X_test, y_test)
style = {"marker": "D", "ms": 9, "ls": "", "color": blue, "zorder": 4}
above.plot(stopped.n_iter_, accuracy, **style, label="early stopping, network kept")
networks = clf.to_sklearn().estimators_
totals = np.cumsum([network.predict_proba(X_test) for network in networks], axis=0)
means = [np.mean(total.argmax(1) == y_test) for total in totals]
ends = [snapshot.epoch for snapshot in clf.snapshots_]
above.plot(
    ends, means, "o-", color=red, lw=2, label="cycles, mean of the networks kept"
)
for name, ls in (("ten networks", "-."), ("random forest", ":")):
    colour = COLOURS[list(results).index(name)]
    above.axhline(results[name][0][0], color=colour, ls=ls, lw=1.2, label=name)
above.set(
    xlabel="epoch",
    ylabel="accuracy on clean test labels",
    title="Digits, 40 % of the training labels wrong",
    ylim=(0, 1),
)
above.legend(loc="lower left", ncols=2, fontsize="small")
accuracies = np.array([[run[0] for run in runs] for runs in results.values()])
below.plot(list(results), accuracies, color="0.7", zorder=0)
for column, (marker, colour) in enumerate(zip("sDo^v", COLOURS, strict=True)):
    below.plot([column] * SEEDS, accuracies[column], marker, color=colour)
below.set(ylabel="accuracy", title=f"{SEEDS} seeds", ylim=(0.6, 1))
below.margins(x=0.2)

if len(sys.argv) > 1:
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    fig.savefig(folder / "learning_curves.png", dpi=150)
    print(f"Learning curves drawn to {folder / 'learning_curves.png'}")
else:
    plt.show()
