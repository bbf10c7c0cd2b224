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


def both(theirs, ours, **options):
    """Make an estimator of scikit-learn's, and ours without the method."""
    options = {"random_state": 0, **options}
    return theirs(**options), ours(k=0, scoring=None, **options)


def assert_same_training(theirs, ours, atol=1e-11):
    """Compare weights, losses and lengths.

    Ten to twenty epochs carry the rounding of sums of 64 terms no further than the
    default; the twin in test_mlpclassifier, which sums in another order, is what that
    was seen on.
    """
    np.testing.assert_allclose(parameters(ours), parameters(theirs), atol=atol)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=atol)
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.t_ == theirs.t_
