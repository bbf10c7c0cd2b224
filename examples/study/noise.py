"""When does it help? Wrong training labels, long training, all arms at equal budget."""

from study.arms import NOISE_ARMS, make_estimator
from study.data import DATASETS, NOISES, kind_of_noise, load
from study.peers import PEERS, fit_peer, make_peer
from study.runner import Study
from study.watch import Watch, measure

COLUMNS = [
    *("epoch", "train_loss", "train_accuracy", "valid_accuracy", "test_accuracy"),
    *("test_log_loss", "seconds"),
]
BATCH_SIZE = {"mnist-1000": 32, "digits": 32}


def network(dataset, quick=False):
    """Return the network's settings on a data set, alike in all arms."""
    dataset, _ = kind_of_noise(dataset)
    sizes = (256, 128, 64) if dataset.startswith("mnist") else (128, 64, 32)
    return {
        "hidden_layer_sizes": (16, 8, 8) if quick else sizes,
        "batch_size": BATCH_SIZE.get(dataset, 64),
    }


def run(key, epochs, quick):
    """Train one arm on one data set; return a row for each epoch."""
    dataset, noise, arm, seed = key
    split = load(dataset, noise, seed, quick)
    settings = {"seed": seed, "epochs": epochs, **network(dataset, quick)}
    if arm in PEERS:
        peer = make_peer(arm, quick=quick, **settings)
        return as_rows([fit_peer(peer, split)])
    return as_rows(train(arm, split.X_train, split.y_train, split, settings))


def train(arm, X, y, split, settings):
    """Fit an arm's estimator on X, y; return what a Watch saw.

    With ``every=plateau`` it is one row, of the mean of the snapshots in the end.
    """
    data = {
        "train": (X, y),
        "valid": (split.X_valid, split.y_valid),
        "test": (split.X_test, split.y_test),
    }
    watch = Watch(data)
    clf = make_estimator(arm, callbacks=[("watch", watch)], **settings).fit(X, y)
    rows = dict(clf.net_.callbacks_)["watch"].rows_
    if clf.reinit_every == "plateau":
        return [rows[-1] | measure(clf, data)]
    return rows


def as_rows(rows):
    """Name the test loss by its column."""
    return [row | {"test_log_loss": row["test_loss"]} for row in rows]


STUDY = Study(
    name="noise",
    run=run,
    columns=COLUMNS,
    datasets=DATASETS,
    noises=NOISES,
    arms=NOISE_ARMS + PEERS,
    seeds=10,
    epochs=60,
)


main = STUDY.main

if __name__ == "__main__":
    main()
