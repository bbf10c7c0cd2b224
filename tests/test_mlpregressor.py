"""k=0 is scikit-learn's MLPRegressor, weight by weight."""

from functools import partial

import numpy as np
import peers
import pytest
from peers import SOLVERS, assert_same_training, parameters
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor

from sklearn_hessreg import HessianRegularizedMLPRegressor

X, Y = load_diabetes(return_X_y=True)
X, Y = X / X.std(0), Y / Y.std()
TARGETS = {"one output": Y, "two outputs": np.stack([Y, X[:, 2] ** 2], 1)}
WEIGHT = np.random.default_rng(0).uniform(0.1, 3, len(Y))
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
every_loss = pytest.mark.parametrize("loss", ["squared_error", "poisson"])
every_target = pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS)
both = partial(peers.both, MLPRegressor, HessianRegularizedMLPRegressor)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["", "weighted"])
@pytest.mark.parametrize("alpha", [0, 1.0])
@pytest.mark.parametrize("solver", SOLVERS)
@every_target
@every_loss
def test_weights_and_losses_agree_to_rounding(loss, y, solver, alpha, weight):
    options = {
        "hidden_layer_sizes": (30, 20),
        "batch_size": 64,  # the last batch is a smaller one
        "max_iter": 10,
        "n_iter_no_change": 10,
        **SOLVERS[solver],
    }
    theirs, ours = both(loss=loss, alpha=alpha, **options)
    for reg in (theirs, ours):
        reg.fit(X, y, sample_weight=weight)
    assert_same_training(theirs, ours)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["", "weighted"])
@every_target
@every_loss
def test_early_stopping_stops_at_the_same_weights(loss, y, weight):
    options = {"early_stopping": True, "n_iter_no_change": 2, "tol": 1e-3}
    theirs, ours = both(loss=loss, learning_rate_init=0.01, **options)
    for reg in (theirs, ours):
        reg.fit(X, y, sample_weight=weight)
    assert ours.n_iter_ < 200
    assert_same_training(theirs, ours)
    assert ours.validation_scores_ == pytest.approx(theirs.validation_scores_)
    assert ours.best_validation_score_ == pytest.approx(theirs.best_validation_score_)
    assert ours.best_loss_ is theirs.best_loss_ is None


@every_loss
def test_stops_at_the_same_epoch(loss):
    options = {"tol": 0.02, "n_iter_no_change": 2}
    theirs, ours = both(loss=loss, **options)
    assert_same_training(theirs.fit(X, Y), ours.fit(X, Y))
    assert ours.n_iter_ < 200
    assert ours.best_loss_ == pytest.approx(theirs.best_loss_)


@every_target
@every_loss
def test_partial_fit_takes_the_same_steps(loss, y):
    theirs, ours = both(loss=loss, batch_size=32)
    for start in range(0, 400, 100):
        rows = slice(start, start + 100)
        for reg in (theirs, ours):
            reg.partial_fit(X[rows], y[rows], sample_weight=WEIGHT[rows])
    np.testing.assert_allclose(parameters(ours), parameters(theirs), atol=1e-11)


@every_loss
def test_warm_start_takes_the_same_steps(loss):
    theirs, ours = both(loss=loss, warm_start=True, max_iter=3)
    for reg in (theirs, ours):
        reg.fit(X, Y).fit(X, Y)
    assert len(ours.loss_curve_) == 6
    assert_same_training(theirs, ours)


@every_target
@every_loss
def test_predictions_and_attributes_are_the_same(loss, y):
    theirs, ours = both(loss=loss, max_iter=3)
    for reg in (ours.fit(X, y), ours.to_sklearn()):
        np.testing.assert_allclose(
            reg.predict(X), theirs.fit(X, y).predict(X), rtol=1e-11
        )
        assert reg.score(X, y) == pytest.approx(theirs.score(X, y))
        for name in ("n_outputs_", "out_activation_", "n_layers_", "n_features_in_"):
            assert getattr(reg, name) == getattr(theirs, name)


def test_arguments_by_position_mean_the_same():
    theirs = MLPRegressor("poisson", (7,), "tanh").get_params()
    ours = HessianRegularizedMLPRegressor("poisson", (7,), "tanh").get_params()
    same = ("loss", "hidden_layer_sizes", "activation")
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["", "weighted"])
@pytest.mark.parametrize(
    ("loss", "target"),
    [("squared_error", "one output"), *(("poisson", target) for target in TARGETS)],
)
def test_lbfgs_takes_the_same_steps_while_line_searches_agree(loss, target, weight):
    options = {"loss": loss, "alpha": 0.1, "max_iter": 8, "solver": "lbfgs"}
    theirs, ours = both(activation="tanh", hidden_layer_sizes=(8,), **options)
    for reg in (theirs, ours):
        reg.fit(X, TARGETS[target], sample_weight=weight)
    # eight iterations amplify an error of rounding by less than 1e5
    np.testing.assert_allclose(parameters(ours), parameters(theirs), atol=1e-10)
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-11)
    assert ours.n_iter_ == theirs.n_iter_ == 8


CONVEX = {"solver": "lbfgs", "hidden_layer_sizes": (), "alpha": 1.0, "tol": 1e-8}


@every_loss
def test_lbfgs_converges_to_the_same_loss(loss):
    theirs, ours = both(loss=loss, **CONVEX)
    # the last iteration lowers the loss by less than 3e-9 of it
    assert ours.fit(X, Y).loss_ == pytest.approx(theirs.fit(X, Y).loss_, rel=1e-8)


def test_lbfgs_minimises_the_sum_over_several_outputs():
    _, ours = both(**CONVEX)
    y = TARGETS["two outputs"]
    best = Ridge(alpha=CONVEX["alpha"]).fit(X, y)  # of the same J
    J = [
        (np.sum((y - reg.predict(X)) ** 2) + np.sum(np.square(W))) / 2 / len(X)
        for reg, W in ((ours, ours.fit(X, y).coefs_[0]), (best, best.coef_))
    ]
    assert J[0] == pytest.approx(J[1], rel=1e-8)


def test_of_several_outputs_the_loss_of_lbfgs_is_their_mean_as_of_adam():
    _, ours = both(**CONVEX)
    y = TARGETS["two outputs"]
    penalty = np.sum(ours.fit(X, y).coefs_[0] ** 2) / 2 / len(X)
    expected = np.mean((y - ours.predict(X)) ** 2) / 2 + penalty
    assert ours.loss_ == pytest.approx(expected, rel=1e-12)
