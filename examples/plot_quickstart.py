"""
Quickstart
==========

The classifier stands where MLPClassifier stood: in a pipeline, with labels of any kind.
Where training would stop it keeps the network, re-initialises most of its weights and
goes on; the mean of the networks kept predicts.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from sklearn_hessreg import HessianRegularizedMLPClassifier, TrainingCurveDisplay

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

clf = HessianRegularizedMLPClassifier(early_stopping=True, random_state=0)
model = make_pipeline(MinMaxScaler(), clf).fit(X_train, y_train)
print(f"test accuracy {model.score(X_test, y_test):.3f} after {clf.n_iter_} epochs")

# %%
# The same network without the method, ``k=0``, is MLPClassifier. With early stopping it
# ends where the first network was kept. Without, it trains until the training loss is
# at its plateau, which on clean labels as these is the better choice.

for stopping in ({"early_stopping": True}, {"max_iter": 400}):
    plain = HessianRegularizedMLPClassifier(k=0, random_state=0, **stopping)
    plain = make_pipeline(MinMaxScaler(), plain).fit(X_train, y_train)
    print(
        f"k=0, {stopping}: {plain.score(X_test, y_test):.3f} "
        f"after {plain[-1].n_iter_} epochs"
    )

# %%
# ``snapshots_`` holds the networks: the last epoch of each and its accuracy on the part
# of the training data that early stopping sets aside.

for snapshot in clf.snapshots_:
    print(f"epoch {snapshot.epoch:3}: validation accuracy {snapshot.score:.3f}")

# %%
# Loss and validation accuracy, each cycle's begin marked at the lower border.

curves = TrainingCurveDisplay.from_estimator(model)
curves.axes_[0].set_title("Training in cycles: each begins with a re-initialisation")
plt.show()

# %%
# The fitted networks without torch: MLPClassifiers of scikit-learn in a
# VotingClassifier.

deployed = clf.to_sklearn()
print(type(deployed).__name__, "of", len(deployed.estimators_))
scaled = model[:-1].transform(X_test)
assert np.allclose(deployed.predict_proba(scaled), clf.predict_proba(scaled))
