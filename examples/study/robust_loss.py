"""Generalised cross-entropy beside cross-entropy, and what the Hessian knows under it.

Behind ReLU the Hessian of the cross-entropy does not depend on the labels; that of the
generalised one does. So its arm is there a second time with random weights, which tells
whether scores that see the labels choose better.
"""

from sklearn_hessreg import HessianRegularizedMLPClassifier
from study import data
from study.keel import COLUMNS, measure
from study.runner import Study

GCE = {"loss": "gce"}
ARMS = {
    "ours": {},
    "ours, random weights": {"importance": "random"},
    "gce": GCE,
    "gce, random weights": {**GCE, "importance": "random"},
}


def run(key, epochs, quick):
    """Fit one arm on one data set; return its one row."""
    dataset, noise, arm, seed = key
    split = data.load(dataset, noise, seed, quick)
    model = HessianRegularizedMLPClassifier(
        **ARMS[arm], max_iter=epochs, random_state=seed
    )
    return [measure(model, *split.labelled(), split.X_test, split.y_test)]


STUDY = Study(
    name="robust_loss",
    run=run,
    columns=COLUMNS,
    datasets=tuple(
        name + kind for name in data.DATASETS for kind in ("", "-pairs", "-boundary")
    ),
    noises=(0, 0.2, 0.4),
    arms=[*ARMS],
    seeds=5,
    epochs=1000,
    file="own",
)
main = STUDY.main

if __name__ == "__main__":
    main()
