"""scikit-learn's own checks, for the defaults and for every option of the method."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_hessreg import HessianRegularizedMLPClassifier

# small nets, few epochs, a high learning rate: the checks ask for some accuracy
FAST = {
    "hidden_layer_sizes": (16,),
    "max_iter": 15,
    "learning_rate_init": 0.03,
    "n_iter_no_change": 15,
    "reinit_every": 1,
}
# the weights must have time to recover from the last re-initialisation
MILD = {**FAST, "k": 2, "reinit_until": 8}
CONFIGURATIONS = [
    {},
    {**FAST, "k": 0, "solver": "sgd", "learning_rate_init": 0.2},
    {**MILD, "n": 2, "activation": "tanh", "aggregation": "sum", "scope": "global"},
    {**MILD, "activation": "logistic", "granularity": "unit", "initializer": "zeros"},
    {**FAST, "n": 2, "curvature": "per_sample", "initializer": "orthogonal", "k": 5},
    {**FAST, "criterion": "magnitude", "reinit_every": 2, "optimizer_state": "reset"},
    {**FAST, "criterion": "random", "k": 2.5, "initializer": "kaiming_uniform"},
    {**FAST, "hidden_layer_sizes": (16, 8), "n": 3, "reinit_until": 5},
    {**MILD, "hessian_samples": None, "activation": "identity"},
    {**FAST, "hessian_samples": 64, "initializer": "normal", "k": 1},
]
# some checks ask for so few epochs that there is nothing to converge
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@parametrize_with_checks(
    [HessianRegularizedMLPClassifier(**options) for options in CONFIGURATIONS]
)
def test_passes_scikit_learns_check(estimator, check):
    """No check fails, and none is expected to."""
    check(estimator)
