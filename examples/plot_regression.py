"""
Regression with wrong targets
=============================

You learn what helps where targets are wrong by much, as by a slipped decimal point: a
robust loss first, then cycles.

A fifth of the training targets of scikit-learn's diabetes data are such outliers; the
test targets are all right. The same network is trained in five ways. Beside it stand
scikit-learn's linear HuberRegressor and a random forest.
"""

import sys
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import HuberRegressor
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import RobustScaler, StandardScaler

from sklearn_hessreg import HessianRegularizedMLPRegressor

SEEDS = 5
warnings.simplefilter("ignore", ConvergenceWarning)  # plain training goes on and on

# %%
# The targets, 25 to 346, say how far the disease has gone after a year. An outlier is
# the right target plus or minus 5 to 10 standard deviations.


def diabetes_with_outliers(seed):
    """Split the rows: X_train, X_test, y_train, y_test, and which targets are wrong."""
    X, y = load_diabetes(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=1 / 3, random_state=seed
    )
    rng = np.random.default_rng(seed)
    wrong = rng.permutation(len(y_train))[: round(0.2 * len(y_train))]
    sizes = rng.uniform(5, 10, len(wrong)) * rng.choice([-1, 1], len(wrong))
    y_train[wrong] += sizes * y_train.std()
    return X_train, X_test, y_train, y_test, wrong


# %%
# The losses are in the units of the targets, which are scaled for the networks, by
# median and quartiles: mean and standard deviation would be the outliers'. Early
# stopping sets a tenth of the training rows aside, outliers among them.

stopping = {"k": 0, "early_stopping": True}
arms = {
    "plain": {"k": 0, "n_iter_no_change": np.inf},
    "early stopping": stopping,
    "Huber loss,\nearly stopping": {"loss": "huber", **stopping},
    "squared error,\ncycles": {},
    "Huber loss,\ncycles": {"loss": "huber"},
}


def make_network(seed, settings):
    """Make a network that sees scaled features and targets."""
    network = HessianRegularizedMLPRegressor(
        batch_size=32, max_iter=300, random_state=seed, **settings
    )
    return TransformedTargetRegressor(
        make_pipeline(StandardScaler(), network), transformer=RobustScaler()
    )


def make_models(seed):
    """Make all models of a seed."""
    models = {name: make_network(seed, settings) for name, settings in arms.items()}
    models["random\nforest"] = RandomForestRegressor(random_state=seed)
    models["linear,\nHuber loss"] = make_pipeline(
        StandardScaler(), HuberRegressor(max_iter=1000)
    )
    return models


first, errors = {}, {}
for seed in range(SEEDS):
    X_train, X_test, y_train, y_test, _ = diabetes_with_outliers(seed)
    for name, model in make_models(seed).items():
        model.fit(X_train, y_train)
        error = mean_absolute_error(y_test, model.predict(X_test))
        errors.setdefault(name, []).append(error)
        if seed == 0:
            first[name] = model

# %%
# The table: the mean absolute error on right test targets. The linear model with the
# Huber loss wins, in milliseconds: these data have little in them that is not linear.
# Of the networks the loss matters most. The cycles help much beside the squared error,
# and with the Huber loss on all splits, if little on one.

print(f"{f'mean of {SEEDS} splits':30}{'error':>8}")
for name, values in errors.items():
    print(f"{' '.join(name.split()):30}{np.mean(values):8.1f}")
stopped, cycled = errors["Huber loss,\nearly stopping"], errors["Huber loss,\ncycles"]
gains = np.subtract(stopped, cycled)
print("less by the cycles, by split:", *(f"{gain:+.1f}" for gain in gains))

# %%
# Above, predictions for the training rows of the first split: the plain network follows
# the outliers, the other one does not. Below, all splits, a grey line for each.

X_train, X_test, y_train, y_test, wrong = diabetes_with_outliers(0)
black, blue, red = "#000000", "#0072B2", "#D55E00"
fig, (above, below) = plt.subplots(
    2, figsize=(6.4, 8), height_ratios=(1, 1.1), layout="constrained"
)
for name, marker, colour in (("plain", "s", black), ("Huber loss,\ncycles", "o", red)):
    predicted = first[name].predict(X_train)
    style = {"marker": marker, "color": colour, "ls": "", "ms": 4, "alpha": 0.6}
    above.plot(y_train[wrong], predicted[wrong], label=" ".join(name.split()), **style)
above.axhspan(25, 346, color="0.9", zorder=0, label="range of right targets")
above.axline((0, 0), slope=1, color="0.6", ls=":", label="learned by heart")
above.set(
    xlabel="wrong target", ylabel="prediction", title="Training rows, first split"
)
above.legend(fontsize="small")
table = np.array(list(errors.values()))
below.plot(list(errors), table, color="0.8", zorder=0, lw=0.8)
for column, values in enumerate(table):
    below.plot([column] * SEEDS, values, ".", color=blue)
    below.plot(column, values.mean(), "_", color=red, ms=22, mew=2.5)
below.set(
    ylabel="mean absolute error",
    title=f"Right test targets: {SEEDS} splits and their mean",
    ylim=(0, None),
)
below.tick_params(axis="x", labelsize="small", rotation=20)
below.margins(x=0.05)

if len(sys.argv) > 1:
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    fig.savefig(folder / "regression.png", dpi=150)
    print(f"Drawn to {folder / 'regression.png'}")
else:
    plt.show()
