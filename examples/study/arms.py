"""From an arm's name to the estimator, and the arms of the study of label noise.

A name is made of words: what is done to the network (``none``, ``ours``, the controls
``random``, ``magnitude``, ``lowest``, ``diagonal``, ``fading`` for the method with a k
that falls to 0, or ``dropout=`` and ``weight_decay=`` with a value), then settings.
``ours n=3 k=10`` re-initialises single weights by Xavier's uniform numbers after every
epoch, keeps the optimizer's state and is one network; ``reset``, ``unit``, ``zeros``
and ``per_sample`` say otherwise. ``every=5`` acts at every fifth epoch, ``until=half``
stops after half of them. ``every=plateau``, the estimator's default, acts where
training would stop and averages the networks of up to ten cycles; with
``early_stopping`` the estimator sets a part of the training rows aside to decide that.

``every=auto`` was an earlier default, an event after every 100 batches. Its results
are in docs/results and still read; its arms cannot be run any more.
"""

from itertools import product

import numpy as np

from sklearn_hessreg import HessianRegularizedMLPClassifier
from study.controls import FadingReinit, diagonal_scores, lowest_scores


def _schedule(value):
    """Read the value of ``every=``: what it says of the estimator's parameters."""
    if value == "plateau":
        rule = {"tol": 1e-4, "n_iter_no_change": 10}
        return {"reinit_every": value, "n_snapshots": 10, **rule}
    if value.isdecimal() and int(value) > 0:
        return {"reinit_every": int(value)}
    withdrawn = " is a schedule that was withdrawn: its results are read, not run again"
    raise ValueError(
        f"every={value}{withdrawn if value == 'auto' else ' is no schedule'}. Use "
        "every=plateau, or every= with a number of epochs such as every=1."
    )


PAPER = {"k": 10, "n": 1, "curvature": "mean_loss", "optimizer_state": "keep"}
_FLAGS = {
    "none": {"k": 0},
    "ours": {},
    "random": {"importance": "random"},
    "magnitude": {"importance": "magnitude"},
    "lowest": {"importance": lowest_scores},
    "diagonal": {"importance": diagonal_scores},
    "fading": {},
    "reset": {"optimizer_state": "reset"},
    "unit": {"granularity": "unit"},
    "zeros": {"initializer": "zeros"},
    "per_sample": {"curvature": "per_sample"},
    "adam": {"solver": "adam"},
    "sgd": {"solver": "sgd"},
    "early_stopping": {"early_stopping": True},
}
_VALUES = {
    "n": ("n", int),
    "k": ("k", float),
    "dropout": ("dropout", float),
    "weight_decay": ("alpha", float),
    "lr": ("learning_rate_init", float),
}

WEIGHT_DECAY = [f"weight_decay={alpha}" for alpha in (0.1, 0.2, 0.5, 1, 2)]
DROPOUT = [f"dropout={p}" for p in (0.1, 0.3, 0.5, 0.7)]
OURS = [f"ours n={n} k={k}" for n, k in product((1, 2, 3), (10, 30))]
OURS_AUTO = [f"{arm} every=auto" for arm in OURS]  # of the results, not to be run
NOISE_ARMS = [
    "none",
    "ours n=3 k=10",
    "random n=3 k=10",
    "magnitude n=3 k=10",
    *DROPOUT,
    *WEIGHT_DECAY,
    *[arm for arm in OURS if arm != "ours n=3 k=10"],
    "ours n=3 k=3",
    "ours n=3 k=10 per_sample",
    "ours n=3 k=10 until=half",
    "ours n=3 k=10 dropout=0.3",
    *[f"{who} n=3 k=10 zeros" for who in ("ours", "random", "magnitude")],
    *[f"ours n={n} k=10 zeros" for n in (1, 2)],
    *[f"{control} n=3 k=10" for control in ("lowest", "diagonal", "fading")],
    "fading n=3 k=30",
    *[
        f"{importance} {settings}"
        for settings in ("n=3 k=30", "n=1 k=10")
        for importance in ("random", "magnitude", "lowest", "diagonal")
    ],
    *[f"{arm} {how}" for how in ("reset", "unit", "reset unit") for arm in OURS],
]


def make_estimator(arm, *, seed, epochs, callbacks=(), **settings):
    """Build the estimator of an arm; `settings` are the network's, alike in all."""
    method = parameters(arm, epochs)
    callbacks = list(callbacks)
    if arm.split()[0] == "fading":
        names = FadingReinit().get_params().keys() & method.keys()
        options = (
            PAPER | {"reinit_every": 1} | {name: method.pop(name) for name in names}
        )
        callbacks.insert(
            0, FadingReinit(**options, monitor="train_loss", random_state=seed)
        )
    plain = PAPER | {"k": 0, "reinit_every": 1, "n_snapshots": 1}
    plain |= {"early_stopping": False, "scoring": None}
    endless = {"alpha": 0, "tol": 0, "n_iter_no_change": np.inf}
    return HessianRegularizedMLPClassifier(
        **plain | endless | settings | method,
        max_iter=epochs,
        random_state=seed,
        device="cpu",
        skorch_callbacks=callbacks,
    )


def parameters(arm, epochs):
    """Translate the words of an arm's name into hyperparameters."""
    found = {}
    for word in arm.split():
        name, _, value = word.partition("=")
        if word in _FLAGS:
            found |= _FLAGS[word]
        elif word == "until=half":
            found["reinit_until"] = max(1, epochs // 2)
        elif name == "every" and value:
            found |= _schedule(value)
        elif name in _VALUES and value:
            key, kind = _VALUES[name]
            found[key] = kind(value)
        else:
            raise ValueError(
                f"Arm {arm!r} has the word {word!r}. Words are {', '.join(_FLAGS)}, "
                f"until=half, every=plateau, and every, {', '.join(_VALUES)} with "
                "=value."
            )
    return found
