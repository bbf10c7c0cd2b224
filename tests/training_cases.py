"""Specs and data on which the tests of the engine train."""

import numpy as np
import torch
from sklearn.datasets import load_iris
from skorch.callbacks import Callback

from sklearn_hessreg._heads import Softmax
from sklearn_hessreg._training import TrainingSpec

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(0)) / X.std(0)
DATA = (X, Y, np.ones(len(Y)), np.ones(len(Y)))
# an estimator whose plateau comes every third epoch, as nothing is an improvement
QUICK = {"reinit_every": "plateau", "tol": 10.0, "n_iter_no_change": 1}
# the clock; where skorch's LRScheduler began to count, which it reads for batches alone
DIFFERENT = {"dur", "seconds", "epoch_start_time_", "batch_idx_"}
METHOD = {
    "k": 20,
    "n": 2,
    "aggregation": "mean",
    "initializer": "xavier_uniform",
    "granularity": "weight",
    "scope": "layer",
    "curvature": "mean_loss",
    "importance": "hessian",
    "reinit_every": 1,
    "n_snapshots": 10,
    "reinit_until": None,
    "hessian_samples": 32,
    "optimizer_state": "keep",
}


def make_spec(method=(), **options):
    """Describe a small, quick training."""
    options = {
        "layer_units": (4, 8, 6, 3),
        "dtype": "float64",
        "head": Softmax(),
        "device": "cpu",
        "seed": 7,
        "method": {**METHOD, **dict(method)},
        "skorch_callbacks": (),
        "keep_optimizer": False,
        "distributed": False,
        "oob_score": False,
        "class_weight": None,
        "activation": "relu",
        "dropout": 0.0,
        "solver": "adam",
        "alpha": 1e-4,
        "batch_size": 25,
        "learning_rate": "constant",
        "learning_rate_init": 0.01,
        "power_t": 0.5,
        "max_iter": 12,
        "shuffle": True,
        "tol": 1e-4,
        "n_iter_no_change": 10,
        "early_stopping": False,
        "scoring": None,
        "validation_fraction": 0.2,
        "momentum": 0.9,
        "nesterovs_momentum": True,
        "beta_1": 0.9,
        "beta_2": 0.999,
        "epsilon": 1e-8,
        "max_fun": 15000,
        "verbose": 0,
        **options,
    }
    return TrainingSpec(**options)


def assert_same(one, two):
    """Compare nested values to the bit, but for what differs by its nature."""
    if isinstance(one, dict):
        assert one.keys() == two.keys()
        for name in one.keys() - DIFFERENT:
            assert_same(one[name], two[name])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(two)
        for a, b in zip(one, two, strict=True):
            assert_same(a, b)
    elif isinstance(one, np.ndarray):
        assert one.dtype == two.dtype
        assert np.array_equal(one, two, equal_nan=one.dtype.kind == "f")
    elif isinstance(one, torch.Tensor):
        assert_same(one.detach().numpy(), two.detach().numpy())
    elif isinstance(one, Callback):
        assert_same(vars(one), vars(two))
    else:
        assert one == two or (one != one and two != two)
