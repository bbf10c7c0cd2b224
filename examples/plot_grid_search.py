"""
A search that tells whether the method helps
============================================

You learn to let a grid search decide on wrong labels alone, and to watch all its fits
while they train. ``k=0`` is the network without the method, so the grid holds its own
baseline. ``importance="random"`` is a control: is the Hessian needed?

40 % of the labels of half of scikit-learn's digits are wrong. The search sees only
those; its validation folds have wrong labels too. The clean labels of the other half
are watched, and decide nothing.

It needs scikit-learn 1.9, rich and pandas.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, train_test_split

from sklearn_hessreg import HessianRegularizedMLPClassifier

warnings.simplefilter("ignore", ConvergenceWarning)  # max_iter is a candidate here

X, y = load_digits(return_X_y=True)
X_train, X_test, y_noisy, y_test = train_test_split(
    X / 16, y, test_size=0.5, stratify=y, random_state=0
)
rng = np.random.default_rng(0)
wrong = rng.permutation(len(y_noisy))[: round(0.4 * len(y_noisy))]
y_noisy[wrong] = (y_noisy[wrong] + rng.integers(1, 10, len(wrong))) % 10

# %%
# One function scores on the data that it is given and on the clean test data.
# ScoringMonitor calls it after every epoch of every fit, with the data of that fit.
# GridSearchCV calls it at the end of each fit, with the fold left out.


def scores(model, X, y):
    """Score on given and on clean labels."""
    return {"given": model.score(X, y), "clean": model.score(X_test, y_test)}


clf = HessianRegularizedMLPClassifier(
    hidden_layer_sizes=(64, 32),
    hessian_samples=64,
    batch_size=32,
    learning_rate_init=0.003,
    max_iter=60,
    n_iter_no_change=4,
    n_snapshots=5,
    random_state=0,
)
grid = [
    {"k": [0], "early_stopping": [False, True]},
    {"k": [10, 70], "n": [1, None]},
    {"k": [70], "importance": ["random"]},
]
monitor = ScoringMonitor(scoring=scores)
search = GridSearchCV(
    clf.set_callbacks(monitor),
    grid,
    cv=3,
    scoring=scores,
    refit="given",
)

# %%
# ProgressBar counts the fits. ``max_propagation_depth=None`` adds a bar for each of
# them, which advances with the epochs.

search.set_callbacks(ProgressBar(max_propagation_depth=0)).fit(X_train, y_noisy)

# %%
# The table a user would look at, who has no clean labels, and the column that a user
# would like to have.

results = search.cv_results_
names = [
    ", ".join(f"{name}={value}" for name, value in params.items())
    for params in results["params"]
]
print(f"{'mean of 3 folds':29}{'wrong labels in fold':>22}{'clean test':>12}")
for name, given, clean in zip(
    names, results["mean_test_given"], results["mean_test_clean"], strict=True
):
    print(f"{name:29}{given:22.3f}{clean:12.3f}")
print(
    f"refitted: {names[search.best_index_]}, clean {search.score(X_test, y_test):.3f}"
)

# %%
# Wrong labels rank the candidates about as clean ones do. All cycles are above early
# stopping alone, which is far above plain training. Random weights do as well as those
# of the highest scores: it is the cycles that help (one seed, one data set).
#
# The monitor has a row for every epoch of every fit. Its path tells the fit: in a
# search (0, 0, number of the fit, epoch), the folds of a candidate in a row.

log = monitor.get_logs().data_as_pandas
log = log[log["task_id_path"].str.len() == 4].assign(
    candidate=lambda log: log["task_id_path"].str[2] // search.n_splits_
)
epochs = log.groupby(["candidate", "task_id"])[["given", "clean"]].mean()

fig, (above, below) = plt.subplots(2, figsize=(6.4, 7.5), layout="constrained")
above.plot(results["mean_test_given"], names, "o", label="wrong labels")
above.plot(results["mean_test_clean"], names, "D", label="clean test")
above.set(
    xlabel="accuracy on folds left out and on test data",
    title="Candidates of the search",
)
above.invert_yaxis()
above.legend(loc="center")
for colour, candidate in zip(("C0", "C1"), (0, search.best_index_), strict=True):
    curves = epochs.loc[candidate].set_axis(epochs.loc[candidate].index + 1)
    name = names[candidate]
    below.plot(curves["clean"], colour, label=f"{name}:\nclean test labels")
    below.plot(curves["given"], colour + "--", label="wrong training labels")
below.set(
    xlabel="epoch",
    ylabel="accuracy, mean of the folds in training",
    ylim=(0, 1),
    title="Plain training, and what the search chose",
)
below.legend(loc="lower right", fontsize="small")
plt.show()
