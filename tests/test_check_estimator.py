"""scikit-learn's own checks, for the defaults and for every option of the method."""

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
    "hidden_layer_sizes": (16,),
    "max_iter": 15,
    "learning_rate_init": 0.03,
    "n_iter_no_change": 15,
    "reinit_every": 1,
    "n_snapshots": 1,
}
# the weights must have time to recover from the last re-initialisation
MILD = {**FAST, "k": 2, "reinit_until": 8}
# the check of class_weight asks for 1000 epochs
ENDING = {**FAST, "reinit_until": 30}
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
CYCLES_BY_SCORE = {**CYCLES, "early_stopping": True, "batch_size": 20}
CONFIGURATIONS = [
    {},
    {**FAST, "k": 0, "solver": "sgd", "learning_rate_init": 0.2},
    {**MILD, "n": 2, "activation": "tanh", "aggregation": "sum", "scope": "global"},
    {**MILD, "activation": "logistic", "granularity": "unit", "initializer": "zeros"},
    {**ENDING, "n": 2, "curvature": "per_sample", "initializer": "orthogonal", "k": 5},
    {**FAST, "criterion": "magnitude", "reinit_every": 2, "optimizer_state": "reset"},
    {**FAST, "criterion": "random", "k": 2.5, "initializer": "kaiming_uniform"},
    {**FAST, "hidden_layer_sizes": (16, 8), "n": 3, "reinit_until": 5},
    {**MILD, "hessian_samples": None, "activation": "identity"},
    {**ENDING, "hessian_samples": 64, "initializer": "normal", "k": 1},
    CYCLES,
    {**CYCLES, "n": 2, "k": 30, "granularity": "unit", "curvature": "per_sample"},
    {**CYCLES, "solver": "lbfgs"},
]
WITH_VALIDATION = [
    {**MILD, "early_stopping": True},
    CYCLES_BY_SCORE,
    {**CYCLES_BY_SCORE, "scoring": "loss"},
]
OF_CLASSIFIERS = [
    *CONFIGURATIONS,
    *WITH_VALIDATION,
    {**MILD, "early_stopping": True, "scoring": "accuracy"},
]


def for_regression(options):
    """Leave the last epochs undisturbed, and take short steps of SGD.

    The derivatives of a squared error have no bound, as those of a cross-entropy have.
    """
    if not options:
        return options
    if options.get("solver") == "sgd":
        return {**options, "learning_rate_init": 0.001}
    every = options["reinit_every"]
    end = None if every == "plateau" else options.get("reinit_until", 30)
    return {**options, "reinit_until": end}


def epochs_for(check, estimator):
    """Count the epochs that a check asks for."""
    if check.startswith("check_estimator_sparse_"):
        return 2  # ten fits, of whose results the shapes are looked at
    if check != "check_regressors_train":
        return estimator.max_iter
    # to the R² that this one asks for it is further than to the accuracy of others
    if estimator.solver == "sgd":
        return 400
    return max(200 if estimator.loss == "poisson" else 60, estimator.max_iter)


OF_REGRESSORS = [
    {**MILD, "loss": "poisson"},
    {**MILD, "loss": "huber", "delta": 0.5},
    {**MILD, "loss": "absolute_error", "criterion": "magnitude"},
    *map(for_regression, [*CONFIGURATIONS, *WITH_VALIDATION]),
    {
        **for_regression({**MILD, "early_stopping": True}),
        "scoring": "neg_mean_absolute_error",
    },
]
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
]


def expected_to_fail(estimator):
    if getattr(estimator, "loss", "") == "poisson":
        return {"check_regressor_multioutput": "its targets are negative"}
    return WITH_SPLIT if estimator.early_stopping else {}


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


@pytest.mark.parametrize("options", [CYCLES, CYCLES_BY_SCORE], ids=["loss", "score"])
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
