"""The way a user would do it: GridSearchCV on the noisy labels alone, then a fit.

All labelled rows take part in the search and in the fit; three folds, so that each
candidate is judged on noisy labels that it was not trained on. The arm
``ours searched`` is in docs/results with an earlier schedule, an event after every 100
batches; it cannot be run any more.
"""

from time import process_time

from sklearn.model_selection import GridSearchCV

from study.arms import make_estimator
from study.data import NOISES, load
from study.noise import COLUMNS, as_rows, network
from study.runner import Study
from study.watch import Watch

GRIDS = {
    "none": None,
    "dropout searched": {"dropout": [0, 0.1, 0.3, 0.5, 0.7]},
    "weight_decay searched": {"alpha": [0, 0.1, 0.2, 0.5, 1, 2]},
}


def run(key, epochs, quick):
    """Search, fit what was chosen on all labelled rows, return a row for each epoch."""
    dataset, noise, arm, seed = key
    if arm not in GRIDS:
        raise ValueError(f"Arm {arm!r} cannot be run. Arms are {', '.join(GRIDS)}.")
    split = load(dataset, noise, seed, quick)
    X, y = split.labelled()
    watch = Watch({"train": (X, y), "test": (split.X_test, split.y_test)})
    clf = make_estimator("none", seed=seed, epochs=epochs, **network(dataset, quick))
    chosen, start = {}, process_time()
    if GRIDS[arm] is not None:
        search = GridSearchCV(clf, GRIDS[arm], cv=3, refit=False, error_score="raise")
        chosen = search.fit(X, y).best_params_
    extra = {
        "search_seconds": process_time() - start,
        "chosen": " ".join(f"{name}={value}" for name, value in chosen.items()),
    }
    clf.set_params(**chosen, skorch_callbacks=[("watch", watch)]).fit(X, y)
    rows = dict(clf.net_.callbacks_)["watch"].rows_
    return [row | extra for row in as_rows(rows)]


STUDY = Study(
    name="search",
    run=run,
    columns=[*COLUMNS, "search_seconds", "chosen"],
    datasets=("digits", "classification", "mnist-1000", "mnist-4000"),
    noises=NOISES,
    arms=list(GRIDS),
    seeds=10,
    epochs=60,
)


main = STUDY.main

if __name__ == "__main__":
    main()
