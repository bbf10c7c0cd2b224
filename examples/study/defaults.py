"""Are the defaults safe on small tables? Networks as the estimator makes them.

One hidden layer of 100 units, batches of 200, at most 200 epochs, MLPClassifier's
stopping rule: an epoch has 2 to 18 batches. One row for each run, its last epoch.
"""

from study.data import NOISES, load
from study.noise import COLUMNS, as_rows, train
from study.runner import Study

ARMS = [
    "none",
    "ours n=1 k=10",
    *[f"{who} n=1 k=10 every=plateau" for who in ("ours", "random", "magnitude")],
    "ours n=2 k=10 every=plateau",
]


def run(key, epochs, quick):
    """Train one arm with the estimator's defaults; return its last epoch's row."""
    dataset, noise, arm, seed = key
    split = load(dataset, noise, seed, quick)
    stopping = {"tol": 1e-4, "n_iter_no_change": 10}
    settings = {"seed": seed, "epochs": epochs, "alpha": 1e-4, **stopping}
    return as_rows(train(arm, split.X_train, split.y_train, split, settings)[-1:])


STUDY = Study(
    name="defaults",
    run=run,
    columns=COLUMNS,
    datasets=("digits", "cancer", "classification"),
    noises=NOISES,
    arms=ARMS,
    seeds=10,
    epochs=200,
)


main = STUDY.main

if __name__ == "__main__":
    main()
