"""A stream that changes: partial_fit on chunks of MNIST, each permuted anew.

In the data set ``labels`` the meaning of the labels is permuted from chunk to chunk, in
``pixels`` the order of the pixels. A batch is classified before it is learned.
"""

from time import process_time

import numpy as np
import torch
from skorch.callbacks import Callback

from study.arms import make_estimator
from study.data import images
from study.runner import Study

ARMS = [
    "none",
    "ours n=3 k=10",
    "ours n=3 k=10 reset",
    "random n=3 k=10",
    "random n=3 k=10 reset",
    "magnitude n=3 k=10",
    "magnitude n=3 k=10 reset",
    "lowest n=3 k=10 reset",
    "diagonal n=3 k=10 reset",
    "weight_decay=0.01",
    "weight_decay=0.1",
    "weight_decay=1",
]


class BeforeLearning(Callback):
    """Count the samples that a net classifies rightly just before it learns them."""

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Begin a chunk."""
        self.right_ = self.seen_ = 0

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        """Classify a batch in evaluation mode."""
        X, (target, _) = batch
        net.module_.eval()  # the net switches back by itself
        with torch.inference_mode():
            self.right_ += (net.module_(X).argmax(1) == target).sum().item()
        self.seen_ += len(target)


def run(key, epochs, quick):
    """Learn chunk after chunk; return a row for each, counted as epochs."""
    dataset, _, arm, seed = key
    clf = make_estimator(
        arm,
        seed=seed,
        epochs=epochs,
        callbacks=[("before", BeforeLearning())],
        hidden_layer_sizes=(16, 8, 8) if quick else (256, 128, 64),
        batch_size=32,
    )
    rows, seconds = [], 0.0
    for epoch, (X, y) in enumerate(chunks(dataset, seed, epochs, quick), 1):
        start = process_time()
        clf.partial_fit(X, y, classes=np.arange(10))
        seconds += process_time() - start
        before = dict(clf.net_.callbacks_)["before"]
        rows.append(
            {
                "epoch": epoch,
                "train_loss": clf.loss_,
                "test_accuracy": before.right_ / before.seen_,
                "seconds": seconds,
            }
        )
    return rows


def chunks(dataset, seed, count, quick):
    """Yield chunks of 2,000 random images, permuted by the seed."""
    X, y, *_ = images(quick)
    rng = np.random.default_rng(seed)
    for _ in range(count):
        rows = rng.choice(len(X), 200 if quick else 2000, replace=False)
        if dataset == "labels":
            yield X[rows], rng.permutation(10)[y[rows]]
        else:
            yield X[rows][:, rng.permutation(X.shape[1])], y[rows]


STUDY = Study(
    name="stream",
    run=run,
    columns=["epoch", "train_loss", "test_accuracy", "seconds"],
    datasets=("labels", "pixels"),
    noises=(0,),
    arms=ARMS,
    seeds=10,
    epochs=60,
)


main = STUDY.main

if __name__ == "__main__":
    main()
