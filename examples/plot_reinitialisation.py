"""
Watch a training
================

You learn to look into a training: at its curves, at the scores by which weights are
chosen, and at which weights were chosen. You also learn to follow it while it runs.

The displays work like scikit-learn's: ``from_estimator`` draws, ``ax`` says where.
"""

import sys
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from sklearn_hessreg import (
    HessianRegularizedMLPClassifier,
    HessianScoresDisplay,
    ReinitHistoryDisplay,
    TrainingCurveDisplay,
)

warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of epochs is meant
X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)


def train(**settings):
    """Train a pipeline for 50 epochs at most with its own validation split."""
    clf = HessianRegularizedMLPClassifier(
        hidden_layer_sizes=(128, 64),
        hessian_samples=64,
        batch_size=16,
        max_iter=50,
        early_stopping=True,
        scoring=None,  # the accuracy, which is easier to look at than the loss
        random_state=0,
        **settings,
    )
    return make_pipeline(MinMaxScaler(), clf).fit(X_train, y_train)


plain = train(k=0, n_iter_no_change=50)
regularised = train(k=10, n=3, n_iter_no_change=3, n_snapshots=6)
for name, model in {"plain training": plain, "in cycles": regularised}.items():
    print(
        f"{name:15} test accuracy {model.score(X_test, y_test):.3f}, "
        f"{model[-1].n_iter_} epochs, networks of the epochs "
        f"{[snapshot.epoch for snapshot in model[-1].snapshots_]}"
    )

# %%
# A cycle ends when its validation accuracy has not risen for more than three epochs.
# Each re-initialisation raises the training loss for a few epochs. To draw one training
# over another, pass the ``axes_`` of the first display.

curves = TrainingCurveDisplay.from_estimator(plain, name="plain training")
TrainingCurveDisplay.from_estimator(regularised, name="in cycles", ax=curves.axes_)
curves.figure_.suptitle("Cycles and plain training on clean labels")
plt.show()

# %%
# These are the scores of the last network's output layer, on test data. Each row is one
# of the ten units. White columns belong to hidden units that are never active. Their
# weights have no curvature, so they are never chosen.

output = HessianScoresDisplay.from_estimator(regularised, X_test, y_test)
plt.show()

# %%
# ``sort=True`` brings the high scores into one corner. In a wide layer, each cell holds
# the mean of several units.

hidden = HessianScoresDisplay.from_estimator(
    regularised, X_test[:100], y_test[:100], layer=0, sort=True
)
plt.show()

# %%
# ``reinit_history_`` has a record for each re-initialisation and layer. This one is the
# first.

record = regularised[-1].reinit_history_[0]
print({key: record[key] for key in ("epoch", "cycle", "layer", "count")})

# %%
# Of the weights chosen, a fifth to a half had been chosen the time before. By chance it
# would be a tenth. Some output units are hit more than others.

fig, (above, below) = plt.subplots(2, figsize=(6.4, 7), layout="constrained")
overlap = ReinitHistoryDisplay.from_estimator(regularised, ax=above)
above.set_title("How many are chosen again")
overlap.plot(below, kind="units").ax_.set_title("Which units are hit")

if len(sys.argv) > 1:
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    for name, display in {
        "curves": curves,
        "output_layer": output,
        "hidden_layer": hidden,
        "history": overlap,
    }.items():
        display.figure_.savefig(folder / f"{name}.png", dpi=150)
    print(f"Drawn to {folder}")
else:
    plt.show()

# %%
# While it trains
# ---------------
#
# ``verbose=1`` prints a line per epoch.
#
# With scikit-learn 1.9 or newer, pass its callbacks to ``set_callbacks``, in pipelines
# and :ref:`searches <sphx_glr_auto_examples_plot_grid_search.py>` too.
# ``ProgressBar()`` shows the epochs; ``ScoringMonitor`` records scores after each.
#
# List skorch's callbacks in ``skorch_callbacks``. ``fit`` rebuilds them from the same
# parameter objects, so a running Optuna trial hears of every epoch. A search clones the
# estimator, so its fits get copies. The trained callbacks are in ``net_.callbacks_``.
# ``EpochScoring`` is refused: it does not know the sample weights.
#
# scikit-learn's progress bar needs ``rich``, skorch's ``tqdm``. In a notebook both need
# ``ipywidgets``. ``pip install ".[notebook]"`` installs all three.
