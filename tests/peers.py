"""What the comparisons with scikit-learn's MLPs share."""

import numpy as np

SOLVERS = {
    "sgd": {"solver": "sgd", "nesterovs_momentum": False},
    "sgd without momentum": {"solver": "sgd", "momentum": 0.0},
    "nesterov": {"solver": "sgd", "nesterovs_momentum": True},
    "adam": {"solver": "adam"},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling"},
    "adaptive": {
        "solver": "sgd",
        "learning_rate": "adaptive",
        "n_iter_no_change": 1,
        "tol": 0.05,
    },
}


def parameters(mlp):
    """Join all weights and biases."""
    return np.concatenate([a.ravel() for a in mlp.coefs_ + mlp.intercepts_])
