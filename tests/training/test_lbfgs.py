"""solver="lbfgs": MLPClassifier's with k=0, a run of the optimizer for each cycle."""

import pickle

import numpy as np
import pytest
from peers import parameters
from scipy.optimize import approx_fprime, minimize
from scipy.sparse import csr_array
from sklearn.datasets import load_diabetes, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from skorch.callbacks import Callback
from training_cases import X, Y

from sklearn_hessreg import (
    HessianRegularizedMLPClassifier,
    HessianRegularizedMLPRegressor,
)
from sklearn_hessreg._training import _lbfgs

ignore = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
H = 2.0**-26  # step of numeric derivatives
SMALL = {"solver": "lbfgs", "hidden_layer_sizes": (3,), "random_state": 0}
OPTIONS = {
    "solver": "lbfgs",
    "hidden_layer_sizes": (8,),
    "activation": "tanh",
    "random_state": 0,
}
TARGETS = {
    "binary": Y == 1,
    "multiclass": Y,
    "several labels": np.stack([Y == 1, X[:, 0] > 0], axis=1).astype(int),
}


def make(**options):
    return HessianRegularizedMLPClassifier(**OPTIONS | options)


@ignore
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("weighted", [False, True])
def test_weights_equal_those_of_mlpclassifier_while_line_searches_agree(
    target, weighted
):
    weight = np.random.default_rng(0).uniform(0.1, 3, len(Y)) if weighted else None
    options = {"max_iter": 8, "alpha": 0.1}
    theirs = MLPClassifier(**OPTIONS | options).fit(X, TARGETS[target], weight)
    ours = make(k=0, **options).fit(X, TARGETS[target], weight)
    # eight iterations amplify an error of rounding by less than 1e5
    np.testing.assert_allclose(parameters(ours), parameters(theirs), atol=1e-10)
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-11)
    assert ours.n_iter_ == theirs.n_iter_ == len(ours.loss_curve_) == 8


@pytest.mark.parametrize("k", [0, 70])
@pytest.mark.parametrize("case", ["false convergence", "abnormal end"])
def test_a_run_that_breaks_off_has_failed(case, k):
    if case == "false convergence":  # as scipy has it
        W, _ = load_wine(return_X_y=True)
        rows, y, seed = W[:, 1:], W[:, 0], 1
    else:
        D, d = load_diabetes(return_X_y=True)
        rows, y, seed = D / D.std(0) * 30, d / 100, 0
    options = {"solver": "lbfgs", "random_state": seed, "max_iter": 100, "k": k}
    reg = HessianRegularizedMLPRegressor("poisson", (10,), **options)
    with pytest.warns(ConvergenceWarning, match="(?s)lbfgs failed to converge.*scale"):
        reg.fit(rows, y)
    assert len(reg.snapshots_) == 1
    assert reg.snapshots_[0].score is None or k == 0
    loaded = pickle.loads(pickle.dumps(reg))
    assert np.array_equal(loaded.predict(rows), reg.predict(rows))


def test_a_run_that_breaks_off_adds_no_snapshot(monkeypatch):
    clf = make(n_snapshots=3, max_iter=500, tol=0.01).fit(X, Y)
    runs = []

    def fail_in_the_second(run):
        runs.append(run)
        return len(runs) == 2

    monkeypatch.setattr(_lbfgs.Run, "has_failed", fail_in_the_second)
    with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge"):
        failed = make(n_snapshots=3, max_iter=500, tol=0.01).fit(X, Y)
    assert [s.score for s in failed.snapshots_] == [clf.snapshots_[0].score]
    assert np.array_equal(failed.coefs_[0], clf.snapshots_[0].coefs[0])
    loaded = pickle.loads(pickle.dumps(failed))
    assert len(loaded.snapshots_) == 1


def test_loss_at_convergence_equals_that_of_mlpclassifier():
    # strictly convex, so there is one minimum; it is known up to gtol
    options = {"hidden_layer_sizes": (), "alpha": 1.0, "tol": 1e-8}
    theirs = MLPClassifier(**OPTIONS | options).fit(X, Y)
    ours = make(k=0, **options).fit(X, Y)
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-8)


@pytest.mark.parametrize("limit", [{"max_iter": 3}, {"max_fun": 10}])
def test_a_maximum_ends_the_training_with_mlpclassifiers_warning(limit):
    seen = []
    for clf in (MLPClassifier(**OPTIONS | limit), make(k=0, **limit)):
        with pytest.warns(match="lbfgs failed to converge after") as record:
            clf.fit(X, Y)
        seen.append((clf.n_iter_, str(record[0].message).split("\n\n")[0].strip()))
    assert seen[0] == seen[1]


class Uphill(Callback):
    """Turns the gradient round, so that no line search finds a lower loss."""

    def on_grad_computed(self, net, named_parameters, **kwargs):
        for _, parameter in named_parameters:
            parameter.grad.neg_()


def test_a_line_search_that_fails_is_warned_of_as_mlpclassifier_does():
    with pytest.warns(match=r"lbfgs failed to converge after 1 .*\(status=2\)"):
        make(k=0, skorch_callbacks=[Uphill]).fit(X, Y)


@ignore
@pytest.mark.parametrize("outputs", [0, slice(0, 2)], ids=["one", "two"])
@pytest.mark.parametrize("loss", ["squared_error", "poisson", "huber"])
def test_loss_and_gradient_belong_together(loss, outputs, monkeypatch):
    checked = []

    def check(fun, x, **kwargs):
        numeric = approx_fprime(x, lambda x: fun(x)[0], H)
        checked.append((fun(x)[1], numeric))
        return minimize(fun, x, **kwargs)

    monkeypatch.setattr(_lbfgs, "minimize", check)
    y = X[:, outputs] ** 2
    HessianRegularizedMLPRegressor(loss, k=0, max_iter=1, alpha=1.0, **SMALL).fit(X, y)
    ((gradient, numeric),) = checked
    # H/2 times second derivatives below 20, and rounding of losses below 20 over H
    atol = 10 * H + 2 * 20 * 2**-52 / H
    np.testing.assert_allclose(numeric, gradient, rtol=0, atol=atol)


def test_each_run_that_converges_is_a_cycle():
    clf = make(tol=1e-2, k=30, n=2, n_snapshots=3, max_iter=1000).fit(X, Y)
    epochs = [snapshot.epoch for snapshot in clf.snapshots_]
    assert len(epochs) == 3
    events = sorted({record["epoch"] for record in clf.reinit_history_})
    assert events == [epoch + 1 for epoch in epochs[:-1]]
    assert clf.n_iter_ == epochs[-1] == len(clf.history_)


@ignore
def test_an_integer_schedule_counts_iterations():
    clf = make(reinit_every=5, max_iter=12).fit(X, Y)
    assert sorted({r["epoch"] for r in clf.reinit_history_}) == [6, 11]
    assert [snapshot.epoch for snapshot in clf.snapshots_][:2] == [5, 10]


@ignore
def test_max_fun_counts_the_evaluations_of_all_cycles():
    clf = make(reinit_every=5, max_fun=15).fit(X, Y)
    group = clf.net_.optimizer_.param_groups[0]
    assert 15 <= group["evaluations"] < 15 + 20  # scipy's steps of a line search


@ignore
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_have_the_dtype_of_the_data(dtype):
    clf = make(k=0, max_iter=5).fit(X.astype(dtype), Y)
    assert {w.dtype for w in clf.coefs_ + clf.intercepts_} == {np.dtype(dtype)}


@ignore
def test_sparse_rows_train_as_dense_ones():
    rows = np.where(np.abs(X) > 1.5, X, 0)
    dense, sparse = (make(k=0, max_iter=5).fit(A, Y) for A in (rows, csr_array(rows)))
    np.testing.assert_allclose(parameters(sparse), parameters(dense), atol=1e-11)


@pytest.mark.parametrize(
    "kind", [HessianRegularizedMLPClassifier, HessianRegularizedMLPRegressor]
)
def test_there_is_no_partial_fit(kind):
    model = kind(solver="lbfgs")
    assert not hasattr(model, "partial_fit")
    with pytest.raises(AttributeError) as caught:
        model.partial_fit(X, Y)
    assert "lbfgs is not stochastic" in str(caught.value.__cause__ or caught.value)


@ignore
def test_early_stopping_sets_no_rows_aside():
    plain, early = (
        make(k=0, max_iter=5, early_stopping=on).fit(X, Y) for on in (False, True)
    )
    assert np.array_equal(parameters(plain), parameters(early))
    assert early.validation_scores_ is None


@ignore
def test_validation_data_are_recorded():
    clf = make(k=0, max_iter=5, scoring=None).fit(X, Y, X_val=X, y_val=Y)
    assert clf.validation_scores_[-1] == clf.score(X, Y)


def test_dropout_is_refused():
    with pytest.raises(ValueError, match=r"dropout=0.5 .*lbfgs.*'adam'"):
        make(dropout=0.5).fit(X, Y)


class Interrupt(Callback):
    """Interrupts at an evaluation, in the middle of a line search."""

    def on_grad_computed(self, net, **kwargs):
        if net.epoch == 4:
            raise KeyboardInterrupt


def test_an_interrupt_leaves_the_weights_of_the_last_iteration():
    with pytest.warns(match="interrupted by user in epoch 4"):
        clf = make(k=0, skorch_callbacks=[Interrupt]).fit(X, Y)
    with pytest.warns(match="failed to converge"):
        whole = make(k=0, max_iter=3).fit(X, Y)
    assert np.array_equal(parameters(clf), parameters(whole))
