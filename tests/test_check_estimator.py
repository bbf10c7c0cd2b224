"""scikit-learn's own checks, for the defaults and pairs of the method's options."""

import pytest
from settings import PAPER
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_hessreg import (
    HessianRegularizedMLPClassifier,
    HessianRegularizedMLPRegressor,
)

# small nets, few epochs, a high learning rate: the checks ask for some accuracy, which
# the mean over the networks of so early epochs has not
FAST = {
    **PAPER,
    "early_stopping": False,
    "hidden_layer_sizes": (16,),
    "max_iter": 15,
    "learning_rate_init": 0.03,
    "n_iter_no_change": 15,
    "reinit_every": 1,
    "n_snapshots": 1,
}
# the weights must have time to recover from the last re-initialisation
MILD = {**FAST, "k": 2, "reinit_until": 8}
# many plateaus in few epochs
CYCLES = {
    **FAST,
    "reinit_every": "plateau",
    "n_snapshots": 5,
    "max_iter": 40,
    "n_iter_no_change": 2,
    "tol": 0.02,
}
# in full batches the best score of five rows has been reached after one update
BY_SCORE = {"early_stopping": True, "batch_size": 20}
PER_SAMPLE = {"curvature": "per_sample", "hessian_samples": 64}
RESET = {"optimizer_state": "reset", "initializer": "zeros"}
UNIT, GLOBAL = {"granularity": "unit", "n": 2}, {"scope": "global", "n": 2}
# Every pair of the values of the schedule, early_stopping, granularity, scope,
# curvature with hessian_samples and optimizer_state occurs in one of the eight: an
# orthogonal array. What has more values is spread over them.
OF_CLASSIFIERS = [
    {},
    {
        **{**FAST, "reinit_until": 30, "k": 1},
        **{"solver": "sgd", "learning_rate_init": 0.2, "hessian_samples": None},
    },
    {**CYCLES, **UNIT, **RESET, "hessian_samples": 64, "activation": "leaky_relu"},
    {
        **{**MILD, **BY_SCORE, **UNIT, **GLOBAL, **RESET, "scoring": "accuracy"},
        **{"importance": "magnitude", "reinit_until": 3},
    },
    {**CYCLES, **BY_SCORE, **PER_SAMPLE, **RESET, "importance": "random", "k": 30},
]
OF_REGRESSORS = [
    {},
    {
        **{**MILD, **GLOBAL, **PER_SAMPLE, **RESET, "aggregation": "sum"},
        **{"loss": "huber", "delta": 0.5, "activation": "tanh"},
    },
    {**CYCLES, **UNIT, **GLOBAL, **PER_SAMPLE, "solver": "lbfgs"},
    {**MILD, **BY_SCORE, **UNIT, **PER_SAMPLE, "loss": "poisson", "scoring": None},
    {
        **{**CYCLES, **BY_SCORE, **GLOBAL, "initializer": "orthogonal"},
        **{"loss": "absolute_error", "importance": "magnitude"},
        **{"scoring": "neg_mean_absolute_error", "activation": "logistic"},
    },
]


def epochs_for(check, estimator):
    """Count the epochs that a check asks for."""
    if check.startswith("check_estimator_sparse_"):
        return 2  # ten fits, of whose results the shapes are looked at
    if check == "check_regressors_train":
        # to the R² that this one asks for it is further than to the accuracy of others
        if estimator.solver == "sgd":
            return 400
        return max(200 if estimator.loss == "poisson" else 60, most(estimator))
    learns = check in ("check_classifiers_train", "check_class_weight_classifiers")
    return most(estimator) if learns else 10


def most(estimator):
    """Count the epochs of an estimator, or those of scikit-learn's for its networks."""
    return min(100, estimator.max_iter)


# not possible with a validation split, nor do scikit-learn's MLPs pass them
WITH_SPLIT = {
    "check_fit_score_takes_y": "they call partial_fit",
    "check_n_features_in_after_fitting": "they call partial_fit",
    "check_estimators_partial_fit_n_features": "they call partial_fit",
    "check_estimators_nan_inf": "ten samples leave one for validation",
    "check_fit2d_1feature": "ten samples leave one for validation",
    "check_regressors_no_decision_function": "ten samples leave one for validation",
    "check_sample_weight_equivalence_on_dense_data": "repeated rows are split apart",
    "check_sample_weight_equivalence_on_sparse_data": "repeated rows are split apart",
}
pytestmark = [
    # some checks ask for so few epochs that there is nothing to converge
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    # or have so few samples
    pytest.mark.filterwarnings("ignore:The validation split is not stratified"),
    pytest.mark.filterwarnings("ignore:All validation targets are"),
    pytest.mark.filterwarnings("ignore:batch_size=20 is larger"),
    pytest.mark.filterwarnings("ignore:The targets have a standard deviation"),
]


def expected_to_fail(estimator):
    expected = WITH_SPLIT if estimator.early_stopping is True else {}
    if getattr(estimator, "loss", "") == "poisson":
        return {**expected, "check_regressor_multioutput": "its targets are negative"}
    return expected


@parametrize_with_checks(
    [
        estimator(**options)
        for estimator, all_options in (
            (HessianRegularizedMLPClassifier, OF_CLASSIFIERS),
            (HessianRegularizedMLPRegressor, OF_REGRESSORS),
        )
        for options in all_options
    ],
    expected_failed_checks=expected_to_fail,
)
def test_passes_scikit_learns_check(estimator, check):
    """No check fails but those that no network with a validation split can pass."""
    epochs = epochs_for(check.func.__name__, estimator)
    check(clone(estimator).set_params(max_iter=epochs))


@pytest.mark.parametrize(
    "options", [CYCLES, {**CYCLES, **BY_SCORE}], ids=["loss", "score"]
)
def test_the_checks_of_cycles_train_several(options):
    X, y = make_blobs(n_samples=300, random_state=0)  # those of check_classifiers_train
    clf = HessianRegularizedMLPClassifier(**options, random_state=0)
    assert len(clf.fit(StandardScaler().fit_transform(X), y).snapshots_) == 5


@pytest.mark.parametrize("name", WITH_SPLIT)
def test_scikit_learns_mlp_fails_the_same_check_with_early_stopping(name):
    kind = MLPRegressor if "regressor" in name else MLPClassifier
    options = {"max_iter": 15, "early_stopping": True}
    with pytest.raises((AssertionError, ValueError)):
        getattr(estimator_checks, name)(kind.__name__, kind(**options))
