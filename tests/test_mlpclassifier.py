"""k=0 is scikit-learn's MLPClassifier, weight by weight."""

from functools import partial

import numpy as np
import peers
import pytest
import torch
from peers import SOLVERS, assert_same_training, parameters
from scipy.sparse import csr_array
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

from sklearn_hessreg import HessianRegularizedMLPClassifier

X, Y = load_digits(return_X_y=True)
X = X[:500] / 16
both = partial(peers.both, MLPClassifier, HessianRegularizedMLPClassifier)
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def fit_reversed_features(options, y):
    """Fit scikit-learn's estimator from the same weights, its features in reverse.

    The mathematics is the same, the order of the sums is not: the difference to the
    ordinary fit is what float64 rounding does to this very training.
    """

    class Reversed(MLPClassifier):
        def _init_coef(self, fan_in, fan_out, dtype):
            coef, intercept = super()._init_coef(fan_in, fan_out, dtype)
            return (coef[::-1].copy() if fan_in == X.shape[1] else coef), intercept

    clf = Reversed(**options).fit(X[:, ::-1].copy(), y)
    clf.coefs_[0] = clf.coefs_[0][::-1]
    return clf


@pytest.mark.parametrize("alpha", [0, 1e-4, 1.0])
@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("solver", SOLVERS)
def test_weights_after_20_epochs_agree_to_the_rounding_of_float64(
    solver, classes, alpha
):
    y = Y[:500] % classes
    options = {
        "hidden_layer_sizes": (30, 20),
        "alpha": alpha,
        "batch_size": 64,  # the last batch has 52 samples
        "learning_rate_init": 0.01,
        "max_iter": 20,
        "n_iter_no_change": 20,
        "random_state": 0,
        **SOLVERS[solver],
    }
    theirs, ours = both(**options)
    theirs.fit(X, y)
    ours.fit(X, y)
    # one weight's update is a sum of 64 terms; a twin that sums in another order shows
    # how far training carries such an error, and ours is summed in yet another one
    twin = fit_reversed_features(options, y)
    spread = np.abs(parameters(twin) - parameters(theirs)).max()
    tolerance = 16 * max(spread, 64 * np.finfo(float).eps)
    assert tolerance < 1e-9
    np.testing.assert_allclose(
        parameters(ours), parameters(theirs), rtol=0, atol=tolerance
    )
    assert ours.n_iter_ == theirs.n_iter_
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)


@pytest.mark.parametrize("activation", ["logistic", "tanh", "identity"])
def test_every_activation_starts_and_trains_alike(activation):
    theirs, ours = both(activation=activation, max_iter=3)
    assert_same_training(theirs.fit(X, Y[:500]), ours.fit(X, Y[:500]))


def test_sample_weights_enter_alike():
    weight = np.random.default_rng(0).uniform(0.1, 3, 500)
    theirs, ours = both(max_iter=3, alpha=1.0)
    assert_same_training(theirs.fit(X, Y[:500], weight), ours.fit(X, Y[:500], weight))


def test_stops_at_the_same_epoch():
    theirs, ours = both(tol=0.02, n_iter_no_change=2)
    theirs.fit(X, Y[:500])
    ours.fit(X, Y[:500])
    assert ours.n_iter_ == theirs.n_iter_ < 200
    assert ours.best_loss_ == pytest.approx(theirs.best_loss_)
    assert ours.t_ == theirs.t_


LABELS = np.stack([Y[:500] % 2, Y[:500] > 4, Y[:500] % 3 == 0], axis=1).astype(int)


@pytest.mark.parametrize("y", [Y[:500] % 2, LABELS], ids=["two classes", "labels"])
def test_early_stopping_stops_at_the_same_weights(y):
    theirs, ours = both(early_stopping=True, n_iter_no_change=3)
    theirs.fit(X, y)
    ours.fit(X, y)
    assert ours.validation_scores_ == pytest.approx(theirs.validation_scores_)
    assert ours.best_validation_score_ == theirs.best_validation_score_
    np.testing.assert_allclose(parameters(ours), parameters(theirs), atol=1e-9)


@pytest.mark.parametrize("y", [Y[:500], LABELS], ids=["classes", "labels"])
def test_partial_fit_takes_the_same_steps(y):
    theirs, ours = both(batch_size=32)
    classes = np.arange(3 if y is LABELS else 10)
    for start in range(0, 500, 100):
        rows = slice(start, start + 100)
        for clf in (theirs, ours):
            clf.partial_fit(X[rows], y[rows], classes=classes)
    np.testing.assert_allclose(parameters(ours), parameters(theirs), atol=1e-11)


def test_alpha_may_change_between_calls():
    theirs, ours = both(alpha=10.0)
    for alpha in (10.0, 0.0, 1.0):
        for clf in (theirs, ours):
            clf.set_params(alpha=alpha).partial_fit(X, Y[:500], classes=np.arange(10))
    np.testing.assert_allclose(parameters(ours), parameters(theirs), atol=1e-11)


def test_a_torch_optimizer_gets_the_same_penalty_as_a_named_solver():
    options = {"k": 0, "alpha": 10.0, "max_iter": 3, "random_state": 0}
    named = HessianRegularizedMLPClassifier(solver="sgd", momentum=0.0, **options)
    given = HessianRegularizedMLPClassifier(solver=torch.optim.SGD, **options)
    assert_same_training(named.fit(X, Y[:500]), given.fit(X, Y[:500]), atol=1e-13)


def test_warm_start_takes_the_same_steps():
    theirs, ours = both(warm_start=True, max_iter=3)
    for clf in (theirs, ours):
        clf.fit(X, Y[:500]).fit(X, Y[:500])
    assert len(ours.loss_curve_) == 6
    assert_same_training(theirs, ours)


@pytest.mark.parametrize("solver", SOLVERS)
def test_multilabel_targets_give_the_same_weights_and_losses(solver):
    theirs, ours = both(max_iter=5, alpha=1.0, **SOLVERS[solver])
    for weight in (None, np.random.default_rng(0).uniform(0.1, 3, 500)):
        assert_same_training(theirs.fit(X, LABELS, weight), ours.fit(X, LABELS, weight))


@pytest.mark.parametrize("container", [np.asarray, csr_array])
def test_multilabel_predictions_have_the_same_values_and_containers(container):
    theirs, ours = both(max_iter=3)
    theirs.fit(X, container(LABELS))
    ours.fit(X, container(LABELS))
    for clf in (ours, ours.to_sklearn()):
        assert type(clf.predict(X)) is type(theirs.predict(X))
        assert abs(clf.predict(X) - theirs.predict(X)).sum() == 0
        for name in ("predict_proba", "predict_log_proba"):
            np.testing.assert_allclose(
                getattr(clf, name)(X), getattr(theirs, name)(X), atol=1e-11
            )
        assert clf.score(X, LABELS) == theirs.score(X, LABELS)
        assert np.array_equal(clf.classes_, theirs.classes_)
    assert (ours.n_outputs_, ours.out_activation_) == (3, "logistic")


def test_warm_start_after_convergence_stops_at_the_same_epochs():
    models = both(tol=0.1, n_iter_no_change=1, warm_start=True)
    epochs = [[clf.fit(X, Y[:500]).n_iter_ for _ in range(3)] for clf in models]
    assert epochs[0] == epochs[1]


def test_to_sklearn_trains_on():
    ours = HessianRegularizedMLPClassifier(max_iter=3, random_state=0).fit(X, Y[:500])
    theirs = ours.to_sklearn()
    before = parameters(theirs)
    assert not np.array_equal(parameters(theirs.partial_fit(X, Y[:500])), before)


@pytest.mark.parametrize("classes", [2, 10])
def test_to_sklearn_predicts_the_same(classes):
    y = np.array([f"class {c}" for c in Y[:500] % classes])
    ours = HessianRegularizedMLPClassifier(max_iter=3, random_state=0).fit(X, y)
    theirs = ours.to_sklearn()
    np.testing.assert_allclose(
        theirs.predict_proba(X), ours.predict_proba(X), rtol=1e-12
    )
    assert (theirs.predict(X) == ours.predict(X)).all()
