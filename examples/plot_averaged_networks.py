"""
Several networks of one training, averaged
==========================================

Between two re-initialisations the network finds another solution. Keep each of them and
average their probabilities: an ensemble for the price of one training. Here that is
done on scikit-learn's digits, 40 % of whose training labels are wrong.
"""

from copy import deepcopy

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split

from sklearn_hessreg import HessianRegularizedMLPClassifier

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X / 16, y, test_size=0.5, stratify=y, random_state=0
)
rng = np.random.default_rng(0)
wrong = rng.permutation(len(y_train))[: round(0.4 * len(y_train))]
y_noisy = y_train.copy()
y_noisy[wrong] = (y_train[wrong] + rng.integers(1, 10, len(wrong))) % 10

# %%
# ``partial_fit`` trains one epoch. The default schedule lets 100 batches pass between
# two re-initialisations, here two epochs of 57, and acts at the start of the next one.
# So after every second epoch the network has recovered, and a copy is kept.

EPOCHS, CYCLE, AVERAGED = 60, 2, 15


def train(**method):
    """Return copies of a classifier at the ends of the cycles of its training."""
    clf = HessianRegularizedMLPClassifier(
        hidden_layer_sizes=(128, 64),
        batch_size=16,
        alpha=0,
        random_state=0,
        **method,
    )
    networks = []
    for epoch in range(1, EPOCHS + 1):
        clf.partial_fit(X_train, y_noisy, classes=np.unique(y))
        if epoch % CYCLE == 0:
            networks.append(deepcopy(clf))
    return networks


arms = {
    "plain, k=0": train(k=0),
    "regularised, k=30": train(k=30),
}

# %%
# A ``VotingClassifier`` of frozen estimators is a fitted classifier as any other: it
# can be scored, inspected or pickled.

for name, networks in arms.items():
    members = [(f"network {i}", FrozenEstimator(clf)) for i, clf in enumerate(networks)]
    average = VotingClassifier(members[-AVERAGED:], voting="soft").fit(X_train, y_noisy)
    print(
        f"{name:18} the last network {networks[-1].score(X_test, y_test):.3f}, "
        f"the last {AVERAGED} averaged {average.score(X_test, y_test):.3f}"
    )

# %%
# Averaging helps both. The plain average only lags behind, since its networks come to
# learn the wrong labels, each of them the same.

fig, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
epochs = np.arange(CYCLE, EPOCHS + 1, CYCLE)
for colour, (name, networks) in zip(("C0", "C1"), arms.items(), strict=True):
    probas = [clf.predict_proba(X_test) for clf in networks]
    means = [
        np.mean(probas[max(0, i - AVERAGED) : i], axis=0)
        for i in range(1, len(probas) + 1)
    ]
    for values, style, kind in ((probas, ":", "one"), (means, "-", "averaged")):
        accuracies = [np.mean(p.argmax(1) == y_test) for p in values]
        ax.plot(epochs, accuracies, style, color=colour, label=f"{name}, {kind}")
ax.set(xlabel="epoch", ylabel="accuracy on clean test labels")
ax.legend()
plt.show()
