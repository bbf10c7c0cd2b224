"""
Which labels are wrong
======================

You learn to rank the rows whose labels are suspicious, to count them with cleanlab, and
what it brings to drop or to correct them.

30 % of the training labels of scikit-learn's digits are wrong. Nobody tells the
classifier which. Where the environment variable ``HESSREG_MNIST`` names a file of
MNIST, the images are 2,000 of MNIST's.
"""

import os

import matplotlib.pyplot as plt
import numpy as np
from cleanlab.filter import find_label_issues
from mnist import load_mnist
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from sklearn_hessreg import HessianRegularizedMLPClassifier, LabelQualityDisplay

if "HESSREG_MNIST" in os.environ:
    X, truth, X_test, y_test = load_mnist()
    X_train, _, truth, _ = train_test_split(X, truth, train_size=2000, random_state=0)
else:
    X, truth = load_digits(return_X_y=True)
    X_train, X_test, truth, y_test = train_test_split(X / 16, truth, random_state=0)
rng = np.random.default_rng(0)
is_wrong = rng.random(len(truth)) < 0.3
y_train = truth.copy()
y_train[is_wrong] = (truth[is_wrong] + rng.integers(1, 10, is_wrong.sum())) % 10

# %%
# One fit. ``label_quality`` scores the labels that it was trained on: the lower, the
# more likely wrong.

clf = HessianRegularizedMLPClassifier(oob_score=True, random_state=0)
clf.fit(X_train, y_train)
quality = clf.label_quality(X_train, y_train)
area = roc_auc_score(is_wrong, -quality)
print(f"area under the ROC curve for finding the wrong labels: {area:.3f}")

# %%
# The first forty, as someone would look at them: the given label, and the one that the
# networks would have given. In red are the rows whose given label is right after all.

order, likely = np.argsort(quality), clf.predict(X_train)
side = round(X_train.shape[1] ** 0.5)
fig, axes = plt.subplots(4, 10, figsize=(8, 4.2), layout="constrained")
for ax, i in zip(axes.flat, order, strict=False):
    ax.imshow(X_train[i].reshape(side, side), cmap="Greys")
    colour = "black" if is_wrong[i] else "#D55E00"
    ax.set_title(f"{y_train[i]}, is {likely[i]}?", fontsize="small", color=colour)
    ax.axis("off")
plt.show()

# %%
# How many rows are below which quality, by the label that they were given, and which
# digits they look like:

LabelQualityDisplay.from_estimator(clf, X_train, y_train)
plt.show()

# %%
# How many are there? cleanlab counts them, from the probabilities of those networks
# that did not train on a row in their cycle. So many of the lowest quality are the
# suspects.

n_wrong = find_label_issues(y_train, clf.oob_decision_function_, n_jobs=1).sum()
suspects = order[:n_wrong]
print(
    f"{n_wrong} suspects, {is_wrong[suspects].sum()} of the {is_wrong.sum()} wrong ones"
)

# %%
# Drop them, or let someone correct them: their rows then count again.

corrected = y_train.copy()
corrected[suspects] = truth[suspects]
fits = {
    "as they are": (X_train, y_train),
    "dropped": (np.delete(X_train, suspects, axis=0), np.delete(y_train, suspects)),
    "corrected": (X_train, corrected),
    "all right": (X_train, truth),
}
for name, (X, y) in fits.items():
    again = HessianRegularizedMLPClassifier(random_state=0).fit(X, y)
    print(f"{name:12} {again.score(X_test, y_test):.3f}")
