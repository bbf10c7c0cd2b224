"""Are the defaults safe on small tables? Networks as the estimator makes them.

One hidden layer of 100 units, batches of 200, at most 200 epochs, MLPClassifier's
stopping rule: an epoch has 2 to 18 batches. One row for each run, its last epoch.
"""

from study.arms import make_estimator
from study.data import NOISES, load
from study.noise import COLUMNS, as_rows
from study.runner import Study, execute, parse
from study.watch import Watch

ARMS = [
    "none",
    "ours n=1 k=10 every=auto",
    "ours n=1 k=10",
    *[f"{who} n=1 k=10 every=auto" for who in ("random", "magnitude")],
    "ours n=2 k=10 every=auto",
]


def run(key, epochs, quick):
    """Train one arm with the estimator's defaults; return its last epoch's row."""
    dataset, noise, arm, seed = key
    split = load(dataset, noise, seed, quick)
    train = split.X_train, split.y_train
    watch = Watch(
        {
            "train": train,
            "valid": (split.X_valid, split.y_valid),
            "test": (split.X_test, split.y_test),
        }
    )
    clf = make_estimator(
        arm,
        seed=seed,
        epochs=epochs,
        callbacks=[("watch", watch)],
        alpha=1e-4,
        tol=1e-4,
        n_iter_no_change=10,
    ).fit(*train)
    return as_rows(dict(clf.net_.callbacks_)["watch"].rows_[-1:])


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


def main(argv=None):
    """Run the study as the command line says."""
    execute(STUDY, parse(STUDY, argv))


if __name__ == "__main__":
    main()
