"""Wrong targets in regression: outliers, and targets of other rows.

Three tables, of whose training rows a share has wrong targets. Outliers are the right
targets plus or minus 5 to 10 standard deviations; shuffled targets are dealt anew among
the rows concerned. Test targets are right. A third of the rows is held out, features
are standardised, and the networks' targets are scaled by median and quartiles, which
outliers do not move; everything else is as it comes. The networks have 100 hidden units
and batches of 32; ``ours`` is the estimator as it comes, with early stopping,
``random`` re-initialises as many weights by chance, ``ten`` averages as many networks,
each from a seed of its own. Errors are in standard deviations of the right training
targets. Noise 0 is the same in both kinds.
"""

from time import process_time

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes, make_friedman1
from sklearn.ensemble import (
    HistGradientBoostingRegressor,
    RandomForestRegressor,
    VotingRegressor,
)
from sklearn.linear_model import HuberRegressor
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import RobustScaler, StandardScaler

from sklearn_hessreg import HessianRegularizedMLPRegressor
from study.runner import Study

NETWORK = {"hidden_layer_sizes": (100,), "batch_size": 32}
CYCLES = {"early_stopping": True}
STOPPED = {"k": 0, "early_stopping": True}
NETWORKS = {
    "huber early_stopping": {"loss": "huber", **STOPPED},
    "ours squared_error": CYCLES,
    "ours huber": {"loss": "huber", **CYCLES},
    "ours huber scoring=loss": {"loss": "huber", "scoring": "loss", **CYCLES},
    "random huber": {"loss": "huber", "importance": "random", **CYCLES},
}
ARMS = [
    "MLPRegressor",
    "MLPRegressor early_stopping",
    *NETWORKS,
    "ten huber early_stopping",
    "HistGradientBoostingRegressor",
    "HistGradientBoostingRegressor absolute_error",
    "RandomForestRegressor",
    "HuberRegressor",
]


def _cancer():
    """Take how fractal the worst nuclei of a tumour are, from means and errors."""
    table = load_breast_cancer(as_frame=True)
    X = table.data.filter(regex="^mean|error$")
    return X.to_numpy(), table.data["worst fractal dimension"].to_numpy()


TABLES = {
    "diabetes": lambda seed: load_diabetes(return_X_y=True),
    "cancer": lambda seed: _cancer(),
    "friedman": lambda seed: make_friedman1(1000, noise=1.0, random_state=seed),
}


def load(table, seed):
    """Make a table and split it: X_train, X_test, y_train, y_test."""
    X, y = TABLES[table](seed)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=1 / 3, random_state=seed
    )
    scaler = StandardScaler().fit(X_train)
    return scaler.transform(X_train), scaler.transform(X_test), y_train, y_test


def with_wrong_targets(y, share, kind, rng):
    """Make a share of the targets wrong, as outliers or shuffled."""
    wrong = rng.permutation(len(y))[: round(share * len(y))]
    y = y.copy()
    if kind == "shuffled":
        y[wrong] = y[rng.permutation(wrong)]
    else:
        sizes = rng.uniform(5, 10, len(wrong)) * rng.choice([-1, 1], len(wrong))
        y[wrong] += sizes * y.std()
    return y


def make(arm, epochs, seed):
    """Build an arm by its name; networks see scaled targets."""
    if arm == "HuberRegressor":
        return HuberRegressor(max_iter=1000)
    if arm == "RandomForestRegressor":
        return RandomForestRegressor(random_state=seed)
    if arm.startswith("HistGradientBoostingRegressor"):
        loss = arm.partition(" ")[2] or "squared_error"
        return HistGradientBoostingRegressor(loss, random_state=seed)
    if arm.startswith("ten "):
        seeds = range(100 * seed, 100 * seed + 10)
        named = [(f"seed {s}", make(arm[4:], epochs, s)) for s in seeds]
        return VotingRegressor(named)
    options = {"max_iter": epochs, "random_state": seed, **NETWORK}
    if arm in NETWORKS:
        options |= {"device": "cpu", "scoring": None, **NETWORKS[arm]}
        network = HessianRegularizedMLPRegressor(**options)
    elif arm in ARMS:
        network = MLPRegressor(early_stopping=arm.endswith("stopping"), **options)
    else:
        raise ValueError(f"There is no arm {arm!r}; there are {', '.join(ARMS)}.")
    return TransformedTargetRegressor(network, transformer=RobustScaler())


def run(key, epochs, quick):
    """Fit one arm on one table; return its one row."""
    dataset, noise, arm, seed = key
    table, kind = dataset.split("-")
    X_train, X_test, y_train, y_test = load(table, seed)
    scale = y_train.std()
    y_train = with_wrong_targets(y_train, noise, kind, np.random.default_rng(seed))
    if quick:
        X_train, y_train = X_train[:100], y_train[:100]
    model = make(arm, epochs, seed)
    start = process_time()
    model.fit(X_train, y_train)
    seconds = process_time() - start
    predicted = model.predict(X_test)
    network = getattr(model, "regressor_", None)
    return [
        {
            "seconds": seconds,
            "epoch": getattr(network, "n_iter_", None),
            "snapshots": len(getattr(network, "snapshots_", [network])),
            "test_r2": r2_score(y_test, predicted),
            "test_error": mean_absolute_error(y_test, predicted) / scale,
        }
    ]


STUDY = Study(
    name="regression",
    run=run,
    columns=["epoch", "snapshots", "test_r2", "test_error", "seconds"],
    datasets=tuple(
        f"{table}-{kind}" for table in TABLES for kind in ("outliers", "shuffled")
    ),
    noises=(0, 0.1, 0.2),
    arms=ARMS,
    seeds=10,
    epochs=300,
)


main = STUDY.main

if __name__ == "__main__":
    main()
