"""
Quickstart
==========

The classifier stands where MLPClassifier stood: in a pipeline, with labels of any kind.
Its own parameters are ``k``, the percent of weights that are re-initialised between two
epochs, and ``n``, the number of last layers that take part.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from sklearn_hessreg import HessianRegularizedMLPClassifier, ReinitHistoryDisplay

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

clf = HessianRegularizedMLPClassifier(
    k=5, batch_size=32, early_stopping=True, random_state=0
)
model = make_pipeline(MinMaxScaler(), clf).fit(X_train, y_train)
print(f"test accuracy {model.score(X_test, y_test):.3f} after {clf.n_iter_} epochs")

# %%
# ``reinit_history_`` tells what was done: one record per event and layer.

for record in clf.reinit_history_[:3]:
    print(record)

# %%
# How many of the weights chosen at one event had been chosen at the one before.

ReinitHistoryDisplay.from_estimator(model)
plt.show()

# %%
# The fitted network without torch: a scikit-learn MLPClassifier of the same weights.

scaled = model[:-1].transform(X_test)
assert np.allclose(clf.to_sklearn().predict_proba(scaled), clf.predict_proba(scaled))
