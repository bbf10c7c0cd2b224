"""Snapshots of an estimator: one pass for all, what is kept of them, and when."""

import warnings
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from scipy.special import erf, expit, softmax
from settings import small
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score
from skorch.callbacks import Callback
from training_cases import QUICK, X, Y, assert_same

from sklearn_hessreg._training._mlp import StackedMLP

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
TARGETS = {
    "binary": Y == 1,
    "multiclass": np.array(["setosa", "versicolor", "virginica"])[Y],
    "several labels": np.stack([Y == 1, X[:, 0] > 0, X[:, 1] > 0], axis=1).astype(int),
}
ACTIVATIONS = {
    "identity": lambda z: z,
    "logistic": expit,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(z)),
    "selu": lambda z: (
        1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * np.expm1(z))
    ),
    "gelu": lambda z: z * (1 + erf(z / np.sqrt(2))) / 2,
    "silu": lambda z: z * expit(z),
    "mish": lambda z: z * np.tanh(np.log1p(np.exp(z))),
}
THIRD = slice(0, None, 3)
VALID = {"X_val": X[THIRD], "y_val": Y[THIRD]}
every_target = pytest.mark.parametrize("target", TARGETS)
make = partial(small, k=30, n=2, max_iter=5)  # whose cycles are single epochs


def logits(snapshot, rows, activation="relu"):
    """Compute in float64 what one network puts out."""
    (W, V), (b, c) = snapshot.coefs, snapshot.intercepts
    return ACTIVATIONS[activation](rows.astype(float) @ W + b) @ V + c


def probabilities(clf, rows):
    """Average the networks' probabilities, one after the other."""
    parts = []
    for snapshot in clf.snapshots_:
        z = logits(snapshot, rows, clf.activation)
        if clf.out_activation_ == "softmax":
            parts.append(softmax(z, axis=1))
        else:
            parts.append(expit(np.hstack([-z, z]) if z.shape[1] == 1 else z))
    return np.mean(parts, axis=0)


def rounding(snapshots, rows, dtype):
    """Bound the rounding error of a logit: sums of 4 and 8 terms, their sizes added.

    No link has a derivative above 1, so it is one of probabilities; no activation has
    one above 1.76, selu's.
    """
    sizes = [
        np.abs(s.coefs[1]).T @ (np.abs(s.coefs[0]).T @ np.abs(rows).max(0) + 1)
        + np.abs(s.intercepts[1])
        for s in snapshots
    ]
    return 1.76 * (4 + 8 + 4) * np.finfo(dtype).eps * np.max(sizes)


@pytest.mark.parametrize(
    ("target", "activation", "dtype", "container"),
    [
        *product(TARGETS, ["relu"], [np.float32, np.float64], [np.asarray, csr_array]),
        # nothing but the activation depends on which it is
        *(
            ("multiclass", activation, np.float64, np.asarray)
            for activation in ACTIVATIONS
            if activation != "relu"
        ),
    ],
)
def test_probabilities_are_the_mean_of_those_of_each_network(
    target, activation, dtype, container
):
    rows = np.where(np.abs(X) > 1.5, X, 0).astype(dtype)  # few nonzeros
    clf = make(activation=activation).fit(container(rows), TARGETS[target])
    assert len(clf.snapshots_) == 5
    proba = clf.predict_proba(container(rows))
    assert proba.dtype == dtype
    atol = rounding(clf.snapshots_, rows, dtype)
    assert atol < 1e3 * np.finfo(dtype).eps
    np.testing.assert_allclose(proba, probabilities(clf, rows), rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_stack_puts_out_what_each_network_does(dtype):
    clf = make(hidden_layer_sizes=(8, 6, 5)).fit(X.astype(dtype), Y)
    net, rows = clf.net_, torch.from_numpy(X.astype(dtype))
    stack = StackedMLP(net.snapshots_, net.module_, "cpu")
    for outputs, snapshot in zip(stack(rows), net.snapshots_, strict=True):
        weights = {
            k: torch.from_numpy(w.copy()) for k, w in snapshot["weights"].items()
        }
        net.module_.load_state_dict(weights)
        with torch.no_grad():
            alone = net.module_(rows)
        # another order of the sums of 4 to 8 terms, in four layers
        np.testing.assert_allclose(
            outputs, alone, rtol=0, atol=500 * np.finfo(dtype).eps
        )


@pytest.mark.parametrize("container", [np.asarray, csr_array])
def test_networks_without_hidden_layers_are_averaged(container):
    rows = np.where(np.abs(X) > 1.5, X, 0)
    clf = make(hidden_layer_sizes=(), n=1).fit(container(rows), Y)
    parts = [
        softmax(rows @ s.coefs[0] + s.intercepts[0], axis=1) for s in clf.snapshots_
    ]
    # sums of 4 terms below 10
    np.testing.assert_allclose(
        clf.predict_proba(container(rows)), np.mean(parts, 0), atol=40 * 2**-52, rtol=0
    )


@every_target
def test_log_probabilities_are_the_logarithm_of_the_mean(target):
    clf = make().fit(X, TARGETS[target])
    np.testing.assert_allclose(
        clf.predict_log_proba(X), np.log(probabilities(clf, X)), rtol=1e-10, atol=1e-13
    )


@every_target
def test_log_probabilities_are_finite_where_probabilities_are_zero(target):
    clf = make().fit(X, TARGETS[target])
    assert (clf.predict_proba(1e4 * X) == 0).any()
    assert np.isfinite(clf.predict_log_proba(1e4 * X)).all()


@every_target
def test_predicts_the_most_probable_label_by_the_mean(target):
    clf = make().fit(X, TARGETS[target])
    proba = clf.predict_proba(X)
    if target == "several labels":
        assert np.array_equal(clf.predict(X), (proba > 0.5).astype(int))
    else:
        assert np.array_equal(clf.predict(X), clf.classes_[proba.argmax(1)])


@pytest.mark.parametrize("container", [np.asarray, csr_array])
@pytest.mark.parametrize("n_rows", [1, 1024, 3000])
def test_batches_join_to_the_mean_of_all_rows(n_rows, container):
    clf = make().fit(X, Y)
    rows = np.random.default_rng(0).normal(size=(n_rows, 4))
    rows[np.abs(rows) < 1.5] = 0
    atol = rounding(clf.snapshots_, rows, float)
    proba = clf.predict_proba(container(rows))
    np.testing.assert_allclose(proba, probabilities(clf, rows), rtol=0, atol=atol)
    assert np.array_equal(clf.predict(container(rows)), proba.argmax(1))


def test_no_more_rows_than_a_batch_pass_the_networks_at_once(monkeypatch):
    clf, sizes = make().fit(X, Y), []
    kind = type(clf.net_.stacked_)
    call = kind.__call__

    def count(stacked, rows):
        sizes.append(len(rows))
        return call(stacked, rows)

    monkeypatch.setattr(kind, "__call__", count)
    clf.predict_proba(np.resize(X, (3000, 4)))
    assert sizes == [256] * 11 + [184]


def test_of_k_0_the_network_is_the_only_snapshot():
    clf = make(k=0).fit(X, Y)
    (snapshot,) = clf.snapshots_
    assert set(snapshot) == {"coefs", "intercepts", "cycle", "epoch", "score"}
    assert (snapshot.epoch, snapshot.score) == (5, clf.loss_)
    for a, b in zip(snapshot.coefs, clf.coefs_, strict=True):
        assert np.array_equal(a, b)
    for a, b in zip(snapshot.intercepts, clf.intercepts_, strict=True):
        assert np.array_equal(a, b)


def test_of_k_0_with_early_stopping_the_snapshot_has_the_best_score():
    clf = make(k=0, early_stopping=True).fit(X, Y, **VALID)
    assert clf.snapshots_[0].score == clf.best_validation_score_


def test_snapshots_can_be_written_to_without_harm():
    clf = make().fit(X, Y)
    before = clf.predict_proba(X)
    for snapshot in clf.snapshots_:
        snapshot.coefs[0][:] = 0
        snapshot.intercepts[0][:] = 0
    assert np.array_equal(clf.predict_proba(X), before)
    assert clf.snapshots_[0].coefs[0].any()


def test_without_early_stopping_a_score_is_the_loss_of_the_last_epoch():
    clf = make(**QUICK, max_iter=11).fit(X, Y)
    scores = [clf.loss_curve_[s.epoch - 1] for s in clf.snapshots_]
    assert [s.epoch for s in clf.snapshots_][:3] == [3, 6, 9]
    assert [s.score for s in clf.snapshots_] == scores


@pytest.mark.parametrize("schedule", [QUICK, {"reinit_every": 4}], ids=["plateau", "4"])
def test_with_early_stopping_a_snapshot_is_the_cycles_best_network(schedule):
    clf = make(early_stopping=True, max_iter=14, **schedule).fit(X, Y, **VALID)
    begin = [1, *(r["epoch"] for r in clf.reinit_history_[::2])]
    cycles = {s.epoch: s for s in clf.snapshots_}
    assert len(cycles) >= 3
    for first, last in zip(begin, [*(b - 1 for b in begin[1:]), 14], strict=True):
        if last not in cycles:  # cut off, and worse than all others
            continue
        best = max(clf.validation_scores_[first - 1 : last])
        predicted = logits(cycles[last], X[THIRD]).argmax(1)
        assert cycles[last].score == best == accuracy_score(Y[THIRD], predicted)


@pytest.mark.parametrize("every", [1, 2])
def test_one_snapshot_under_an_integer_is_the_last_network(every):
    clf = make(n_snapshots=1, reinit_every=every).fit(X, Y)
    few = make(n_snapshots=10, reinit_every=every).fit(X, Y)
    (snapshot,) = clf.snapshots_
    assert snapshot.epoch == few.snapshots_[-1].epoch
    assert_same([snapshot], few.snapshots_[-1:])
    assert clf.net_.stacked_ is None
    assert np.array_equal(clf.coefs_[1], snapshot.coefs[1])


ONE = {"reinit_every": "plateau", "n_snapshots": 1, "n_iter_no_change": 2, "tol": 0.01}


@pytest.mark.parametrize("early_stopping", [False, True])
def test_one_snapshot_at_a_plateau_is_training_without_the_method(early_stopping):
    options = {**ONE, "max_iter": 200, "early_stopping": early_stopping}
    one = make(**options).fit(X, Y)
    none = make(k=0, **options).fit(X, Y)
    assert one.n_iter_ == none.n_iter_ < 200
    assert np.array_equal(one.predict_proba(X), none.predict_proba(X))
    assert one.loss_curve_ == none.loss_curve_
    assert one.reinit_history_ == []


def convergence_warnings(**options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make(**options).fit(X, Y)
    return [str(w.message) for w in caught if w.category is ConvergenceWarning]


WARNINGS = {
    "a plateau that never came": (
        {"reinit_every": "plateau"},
        ["Maximum iterations (5)", "no weight was re-initialised", "increase max_iter"],
    ),
    "an integer beyond the training": (
        {"reinit_every": 7},
        ["No weight was re-initialised", "reinit_every=7", "max_iter=5"],
    ),
    "a plateau after the last epoch for events": (
        {**QUICK, "reinit_until": 2},
        ["No weight was re-initialised", "reinit_until=2"],
    ),
    "k=0": (
        {"k": 0},
        ["Maximum iterations (5)", "before training converged", "increase max_iter"],
    ),
}


@pytest.mark.parametrize("case", WARNINGS)
def test_one_warning_says_what_did_not_happen_and_why(case):
    options, parts = WARNINGS[case]
    (message,) = convergence_warnings(**options)
    for part in parts:
        assert part in message


def test_k_0_is_not_told_of_re_initialisation():
    (message,) = convergence_warnings(k=0)
    assert "re-init" not in message


SILENT = {
    "cycles that max_iter cut off": {**QUICK, "max_iter": 8},
    "all snapshots": {**QUICK, "n_snapshots": 3, "max_iter": 20},
    "a plateau of k=0": {**QUICK, "k": 0, "max_iter": 8},
    "a single snapshot": {**QUICK, "n_snapshots": 1, "max_iter": 20},
    "an integer": {"reinit_every": 2},
    "an integer as long as the training": {"reinit_every": 5},
}


@pytest.mark.parametrize("case", SILENT)
def test_a_training_in_which_cycles_ended_is_not_warned_of(case):
    assert convergence_warnings(**SILENT[case]) == []


def test_training_ends_at_the_next_plateau_after_reinit_until():
    clf = make(**QUICK, reinit_until=5, max_iter=50).fit(X, Y)
    assert sorted({r["epoch"] for r in clf.reinit_history_}) == [4]
    assert clf.n_iter_ == 6


class Rates(Callback):
    """Record the learning rate with which each epoch is trained."""

    def initialize(self):
        self.rates_ = []
        return self

    def on_epoch_begin(self, net, **kwargs):
        self.rates_.append(net.optimizer_.param_groups[0]["lr"])


def test_a_cycle_ends_when_an_adaptive_rate_is_small_and_gives_it_back():
    sgd = {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.01}
    clf = make(**{**QUICK, **sgd}, max_iter=60, skorch_callbacks=[("rates", Rates())])
    rates = np.array(dict(clf.fit(X, Y).net_.callbacks_)["rates"].rates_)
    events = {r["epoch"] for r in clf.reinit_history_}
    assert events
    rises = {int(i) + 2 for i in np.flatnonzero(np.diff(rates) > 0)}
    assert rises == events
    for epoch in events:
        assert rates[epoch - 2] <= 1e-6 < rates[epoch - 4]
        assert rates[epoch - 1] == 0.01


class Interrupt(Callback):
    """Interrupt before a batch of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        batches = net.history[-1]["batches"]
        if training and len(net.history) == self.epoch and len(batches) == 3:
            raise KeyboardInterrupt


@pytest.mark.parametrize("early_stopping", [False, True])
def test_an_interrupt_in_a_later_cycle_keeps_the_snapshots(early_stopping):
    options = {**QUICK, "early_stopping": early_stopping, "max_iter": 20}
    whole = make(**options).fit(X, Y, **VALID)
    with pytest.warns(UserWarning, match="interrupted by user in epoch 8"):
        clf = make(**options, skorch_callbacks=[Interrupt(8)]).fit(X, Y, **VALID)
    assert clf.n_iter_ == 7
    assert_same(clf.snapshots_[:2], whole.snapshots_[:2])
    np.testing.assert_allclose(
        clf.predict_proba(X), probabilities(clf, X), atol=1e-12, rtol=0
    )


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_cycle_interrupted_in_its_first_epoch_does_not_count(early_stopping):
    options = {**QUICK, "early_stopping": early_stopping, "max_iter": 20}
    whole = make(**options).fit(X, Y, **VALID)
    with pytest.warns(UserWarning, match="interrupted by user in epoch 7"):
        clf = make(**options, skorch_callbacks=[Interrupt(7)]).fit(X, Y, **VALID)
    assert_same(clf.snapshots_, whole.snapshots_[:2])
    assert np.array_equal(clf.coefs_[0], whole.snapshots_[1].coefs[0])
