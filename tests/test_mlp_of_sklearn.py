"""scikit-learn's own tests of its MLPs, with ours in their place."""

import functools
import importlib
import inspect

import pytest
from sklearn import neural_network

from sklearn_hessreg import (
    HessianRegularizedMLPClassifier,
    HessianRegularizedMLPRegressor,
)

PRIVATE = "looks at private attributes"
FAILING = {
    "test_fit": "sets attributes by hand before partial_fit, ours come from the net",
    "test_gradient": PRIVATE,
    "test_learning_rate_warmstart": PRIVATE,
    "test_adaptive_learning_rate": PRIVATE,
    "test_predict_proba_multilabel": "two probabilities round to one, but no "
    "logarithms of ours, which come from the logits",
    "test_nonfinite_params": "the error says in other words what became infinite, and "
    "when",
    "test_mlp_diverging_loss": "a loss that is not finite is an error, with "
    "early_stopping too",
    "test_verbose_sgd": "the wording of the log is skorch's",
    "test_early_stopping_stratified": "a class of one row is warned of, not refused",
    "test_preserve_feature_names": "all its targets are equal, which our classifier "
    "refuses, as there is one class",
}
pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:.*validation split is not stratified"),
    pytest.mark.filterwarnings("ignore:The targets have a standard deviation"),
]
# theirs have no method, and other defaults
AS_SKLEARN = {"k": 0, "scoring": None, "max_iter": 200}
OURS = {
    "MLPClassifier": functools.partial(HessianRegularizedMLPClassifier, **AS_SKLEARN),
    "MLPRegressor": functools.partial(HessianRegularizedMLPRegressor, **AS_SKLEARN),
}
THEIRS = {getattr(neural_network, name): make for name, make in OURS.items()}
MODULE = importlib.import_module("sklearn.neural_network.tests.test_mlp")


def adopt(test):
    """Run a test with our estimators under the names of its module."""

    @functools.wraps(test)
    def adopted(*args, **kwargs):
        with pytest.MonkeyPatch.context() as patch:
            for name, make in OURS.items():
                patch.setattr(MODULE, name, make)
            kwargs = {name: swap(value) for name, value in kwargs.items()}
            test(*args, **kwargs)

    if test.__name__ in FAILING:
        reason = FAILING[test.__name__]
        return pytest.mark.xfail(reason=reason, strict=True)(adopted)
    return adopted


def swap(value):
    """Put our class in the place of theirs."""
    return THEIRS.get(value, value) if inspect.isclass(value) else value


@pytest.fixture
def global_random_seed():
    """Stand in for the fixture of scikit-learn's conftest."""
    return 42


for _name, _test in list(vars(MODULE).items()):
    if _name.startswith("test_"):
        globals()[_name] = adopt(_test)
