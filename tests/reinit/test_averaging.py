"""Skorch nets with SnapshotAveragingMixin predict with the mean of their snapshots."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import EpochScoring
from torch import nn

from sklearn_hessreg import FitCheckpoint, HessianReinit, SnapshotAveragingMixin

X, Y = load_iris(return_X_y=True)
X = X.astype("float32")


class Classifier(SnapshotAveragingMixin, NeuralNetClassifier):
    pass


class BinaryClassifier(SnapshotAveragingMixin, NeuralNetBinaryClassifier):
    pass


class Regressor(SnapshotAveragingMixin, NeuralNetRegressor):
    pass


KINDS = {
    "classes": (Classifier, 3, Y, {"criterion": nn.CrossEntropyLoss}),
    "two classes": (BinaryClassifier, 1, (Y > 0).astype("float32"), {}),
    "numbers": (Regressor, 1, X[:, 3:], {}),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def make(kind="classes", callbacks=(), **options):
    net, n_outputs, _, own = KINDS[kind]
    last = [nn.Flatten(0)] if kind == "two classes" else []
    torch.manual_seed(0)
    method = HessianReinit(**{"k": 30, "reinit_every": 2, "random_state": 0, **options})
    return net(
        nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, n_outputs), *last),
        max_epochs=6,
        lr=0.05,
        callbacks=[("hessian", method), *callbacks],
        verbose=0,
        **own,
    )


def fit(kind="classes", **options):
    return make(kind, **options).fit(X, KINDS[kind][2])


def method_of(net):
    return dict(net.callbacks_)["hessian"]


@every_kind
def test_predictions_are_the_mean_of_the_snapshots(kind):
    net = fit(kind)
    assert len(method_of(net).snapshots_) == 3
    mean = method_of(net).average(net, X)
    assert np.array_equal(net.predict_proba(X), mean)
    labels = {
        "classes": mean.argmax(1),
        "two classes": mean[:, 1:].ravel() > 0.5,
        "numbers": mean,
    }[kind]
    assert np.array_equal(net.predict(X), labels)


def test_the_mean_differs_from_the_last_network():
    net = fit()
    last = net.forward(X).softmax(1).numpy()
    assert not np.allclose(net.predict_proba(X), last, atol=1e-3)


def test_the_module_keeps_its_weights():
    net = fit()
    before = [p.clone() for p in net.module_.parameters()]
    net.predict(X)
    assert all(map(torch.equal, before, net.module_.parameters()))


@pytest.mark.parametrize("options", [{"k": 0}, {"reinit_every": "plateau"}])
def test_without_a_finished_cycle_the_net_predicts_by_itself(options):
    net = fit(**options)
    alone = net.forward(X).softmax(1).numpy()
    np.testing.assert_array_equal(net.predict_proba(X), alone)


def test_scores_in_training_are_those_of_the_network_in_training():
    columns = []
    for kind in (Classifier, NeuralNetClassifier):
        callbacks = [EpochScoring("accuracy", False, "accuracy", use_caching=False)]
        net = make(callbacks=callbacks)
        net = kind(**net.get_params(deep=False))
        torch.manual_seed(0)
        columns.append(net.fit(X, Y).history[:, ("valid_acc", "accuracy")])
    assert columns[0] == columns[1]


def test_a_search_scores_the_mean():
    search = GridSearchCV(make(), {"callbacks__hessian__k": [0, 30]}, cv=2, refit=True)
    search.fit(X, Y)
    best = search.best_estimator_
    assert search.score(X, Y) == np.mean(best.predict_proba(X).argmax(1) == Y)
    assert len(search.cv_results_["params"]) == 2


def test_a_pickled_net_predicts_alike():
    net = fit()
    again = pickle.loads(pickle.dumps(net))
    assert np.array_equal(again.predict_proba(X), net.predict_proba(X))


def test_a_clone_is_not_trained_and_keeps_no_snapshot():
    net = clone(fit()).initialize()
    alone = net.forward(X).softmax(1).numpy()
    np.testing.assert_array_equal(net.predict_proba(X), alone)


def test_a_killed_fit_that_goes_on_predicts_with_the_mean(tmp_path):
    path = tmp_path / "state"
    net = make(callbacks=[FitCheckpoint(path, keep=True)]).fit(X, Y)
    again = make(callbacks=[FitCheckpoint(path, keep=True)]).fit(X, Y)
    assert np.array_equal(again.predict_proba(X), net.predict_proba(X))


def test_the_mixin_after_the_net_is_refused():
    with pytest.raises(TypeError, match="Put the mixin first"):
        type("Net", (NeuralNetClassifier, SnapshotAveragingMixin), {})
