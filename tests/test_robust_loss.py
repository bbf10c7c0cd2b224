"""The generalised cross-entropy of the classifier, its gradients and its Hessian."""

import numpy as np
import pytest
import torch
from reference import assert_equal_to_reference, reference_scores
from sklearn.datasets import load_iris
from sklearn.metrics import log_loss
from sklearn.utils._param_validation import InvalidParameterError

from sklearn_hessreg import HessianRegularizedMLPClassifier

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(0)) / X.std(0)
WEIGHT = np.random.default_rng(0).random(150)
TARGETS = {
    "two classes": (Y > 0).astype(int),
    "three classes": Y,
    "labels": np.column_stack([Y == 0, Y >= 1]).astype(int),
}
Q = 0.7
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def make(**options):
    defaults = {"k": 0, "max_iter": 4, "random_state": 0, "loss": "gce", "gce_q": Q}
    return HessianRegularizedMLPClassifier((8,), **defaults | options)


def probability_of(y, proba):
    """Return the probability of each given class, or of each given zero or one."""
    if y.ndim == 1:
        return np.take_along_axis(proba, y[:, None], axis=1)
    return np.where(y == 1, proba, 1 - proba)


def loss_of(y, proba, weight=None):
    losses = (1 - probability_of(y, proba) ** Q) / Q
    return np.average(losses.sum(1), weights=weight)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS)
def test_validation_loss_is_the_mean_of_the_formula(y, weight):
    clf = make().fit(X, y, X_val=X, y_val=y, sample_weight_val=weight)
    expected = -loss_of(y, clf.predict_proba(X), weight)
    assert clf.validation_scores_[-1] == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS)
def test_loss_curve_is_the_mean_of_the_formula(y):
    clf = make(alpha=0, max_iter=1, batch_size=150, learning_rate_init=1e-12)
    clf.fit(X, y)  # the weights hardly move, so the loss before the step is that after
    assert clf.loss_ == pytest.approx(loss_of(y, clf.predict_proba(X)), rel=1e-9)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS)
def test_small_q_trains_as_cross_entropy(y, solver):
    # the losses differ by q log(p)^2 / 2
    small = make(gce_q=1e-9, solver=solver).fit(X, y)
    entropy = make(loss="log_loss", solver=solver).fit(X, y)
    for W, V in zip(small.coefs_, entropy.coefs_, strict=True):
        np.testing.assert_allclose(W, V, rtol=0, atol=1e-6)


@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS)
def test_lbfgs_ends_where_the_gradient_of_the_formula_vanishes(y):
    clf = make(solver="lbfgs", alpha=0, max_iter=300, tol=1e-6, gce_q=0.2).fit(X, y)
    module = clf.net_.module_
    target = torch.from_numpy(y)
    z = module(torch.from_numpy(X))
    if target.ndim == 1 and z.shape[1] > 1:
        p = z.softmax(1).gather(1, target[:, None])
    else:
        target = target.view(len(z), -1)
        p = torch.where(target == 1, z.sigmoid(), 1 - z.sigmoid())
    ((1 - p**0.2) / 0.2).sum(1).mean().backward()
    assert all(W.grad.abs().max() < 1e-4 for W in module.parameters())


def test_class_weights_are_those_of_the_samples():
    by_class = {0: 2.0, 1: 0.5, 2: 1.0}
    weighted = make(class_weight=by_class).fit(X, Y)
    same = make().fit(X, Y, np.vectorize(by_class.get)(Y))
    np.testing.assert_allclose(weighted.coefs_[0], same.coefs_[0], rtol=1e-10)


def test_partial_fit_trains_as_fit_does():
    fitted = make(max_iter=1, shuffle=False).fit(X, Y)
    called = make(shuffle=False).partial_fit(X, Y, classes=[0, 1, 2])
    np.testing.assert_array_equal(called.coefs_[0], fitted.coefs_[0])


def test_a_fit_can_go_on_under_the_other_loss():
    clf = make(warm_start=True).fit(X, Y)
    clf.set_params(loss="log_loss", alpha=0, max_iter=1, batch_size=150)
    expected = log_loss(Y, clf.predict_proba(X))
    assert clf.fit(X, Y).loss_ == pytest.approx(expected)


@pytest.mark.parametrize("q", [0, -1, 1.5, "half"])
def test_other_exponents_are_refused(q):
    with pytest.raises(InvalidParameterError, match=r"'gce_q'.*\(0.0, 1.0\]"):
        make(gce_q=q).fit(X, Y)


def test_an_unknown_loss_is_refused_with_what_is_allowed():
    with pytest.raises(InvalidParameterError, match=r"'loss'.*'gce'"):
        make(loss="robust").fit(X, Y)


def formula(outputs, targets, rows=slice(None)):
    """J, or the share that given rows have of it."""
    if outputs.shape[1] == 1:
        p = ((2 * targets[:, None] - 1) * outputs).sigmoid()
    else:
        p = outputs.softmax(1).gather(1, targets[:, None])
    return ((1 - p**Q) / Q)[rows].sum() / len(outputs)


@pytest.mark.parametrize("curvature", ["mean_loss", "per_sample"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_scores_equal_the_materialised_hessian(n_classes, activation, curvature):
    rows, y = X[::12], Y[::12] % n_classes
    clf = make(activation=activation, curvature=curvature, aggregation="sum")
    clf.set_params(hidden_layer_sizes=(4, 3)).fit(rows, y)
    inputs, targets = torch.from_numpy(rows), torch.from_numpy(y)
    module = clf.net_.module_
    for name, S in clf.hessian_scores(rows, y).items():
        reference = reference_scores(
            module, formula, inputs, targets, name, curvature=curvature
        )
        assert_equal_to_reference(torch.from_numpy(S), reference)


def scores_of_other_labels(loss):
    """Score one network by given labels, and by the same labels shuffled."""
    clf = make(loss=loss, curvature="per_sample").fit(X, Y)
    shuffled = np.random.default_rng(0).permutation(Y)
    return clf.hessian_scores(X, Y), clf.hessian_scores(X, shuffled)


def test_behind_relu_scores_by_cross_entropy_do_not_depend_on_the_labels():
    given, shuffled = scores_of_other_labels("log_loss")
    for name in given:
        np.testing.assert_array_equal(given[name], shuffled[name])


def test_scores_by_the_generalised_cross_entropy_depend_on_the_labels():
    given, shuffled = scores_of_other_labels("gce")
    assert np.abs(given["layers.0"] - shuffled["layers.0"]).max() > 1e-3
