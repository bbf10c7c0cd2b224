"""Cycles and snapshots over calls of partial_fit, and of fit with a warm start."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from settings import small
from skorch.callbacks import Callback
from training_cases import QUICK, X, Y, assert_same

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
make = partial(small, k=30, n=2, max_iter=5, **QUICK)


def call(clf, times, rows=X, labels=Y):
    """Train for some epochs, each in a call."""
    for _ in range(times):
        clf.partial_fit(rows, labels, classes=[0, 1, 2])
    return clf


def is_net(clf, snapshot):
    """Tell whether a snapshot is the network in training."""
    return all(map(np.array_equal, clf.coefs_, snapshot.coefs))


def events(clf):
    return sorted({record["epoch"] for record in clf.reinit_history_})


SCHEDULES = {
    "plateau": QUICK,
    "plateau of a loss that falls": {"tol": 0.02, "n_iter_no_change": 2},
    "every epoch": {"reinit_every": 1, "n_snapshots": 4},
    "every fifth epoch": {"reinit_every": 5, "tol": 0},
}


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("max_iter", [7, 30])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_calls_with_the_same_batches_give_the_snapshots_of_a_fit(
    schedule, max_iter, solver
):
    options = {"shuffle": False, "solver": solver, **SCHEDULES[schedule]}
    options |= {"n_snapshots": options.get("n_snapshots", 20)}
    fit = make(max_iter=max_iter, **options).fit(X, Y)
    calls = call(make(**options), fit.n_iter_)
    assert len(fit.snapshots_) > 1 or max_iter == 7
    assert events(fit) == events(calls)
    assert_same(fit.snapshots_, calls.snapshots_)
    assert np.array_equal(fit.predict_proba(X), calls.predict_proba(X))


def test_a_call_is_an_epoch_of_the_cycle():
    clf = make()
    for calls in range(1, 8):
        call(clf, 1)
        assert clf.n_iter_ == 1
        assert len(clf.loss_curve_) == calls
    assert events(clf) == [4, 7]


def test_the_plateau_is_that_of_the_training_loss_over_the_calls():
    clf, patience, tol = make(tol=0.05, n_iter_no_change=2), 2, 0.05
    best, misses, ends = np.inf, 0, []
    for epoch in range(1, 31):
        loss = call(clf, 1).loss_
        misses = 0 if loss <= best - tol else misses + 1
        best = min(best, loss)
        if misses > patience:
            ends.append(epoch)
            best, misses = np.inf, 0
    assert len(ends) > 2
    assert events(clf) == [end + 1 for end in ends if end < 30]


def test_predictions_are_of_the_finished_cycles_and_of_the_network_if_it_counts():
    clf, seen = make(), set()
    for epoch in range(1, 16):
        call(clf, 1)
        ended = list(range(3, epoch + 1, 3))
        worst = max((clf.loss_curve_[end - 1] for end in ended), default=np.inf)
        counts = epoch not in ended and clf.loss_ <= worst
        assert [s.epoch for s in clf.snapshots_] == ended + [epoch] * counts
        assert is_net(clf, clf.snapshots_[-1])
        alone = [
            np.maximum(X @ s.coefs[0] + s.intercepts[0], 0) @ s.coefs[1]
            + s.intercepts[1]
            for s in clf.snapshots_
        ]
        odds = [np.exp(z) / np.exp(z).sum(1, keepdims=True) for z in alone]
        # sums of 4 and 8 terms below 10
        np.testing.assert_allclose(
            clf.predict_proba(X), np.mean(odds, axis=0), rtol=0, atol=120 * 2**-52
        )
        seen.add((epoch in ended, counts))
    assert seen == {(True, False), (False, True), (False, False)}


def test_training_goes_on_from_the_network_in_training_though_it_does_not_count():
    clf, others, found = make(), make(n_snapshots=20), 0
    for epoch in range(1, 16):
        call(clf, 1)
        call(others, 1)
        found += clf.snapshots_[-1].epoch < epoch  # it does not count
        loaded = pickle.loads(pickle.dumps(clf))
        assert call(loaded, 3).loss_curve_ == call(copy.deepcopy(others), 3).loss_curve_
    assert found


class Spoil(Callback):
    """Make a weight of the network in training NaN at the end of its epoch."""

    def on_epoch_end(self, net, **kwargs):
        with torch.no_grad():
            net.module_.layers[0].weight[0, 0] = torch.nan


def test_weights_that_are_nan_are_refused_whether_or_not_their_network_counts():
    clf, counted = make(), set()
    for epoch in range(1, 16):
        spoilt = copy.deepcopy(clf).set_params(skorch_callbacks=[Spoil()])
        with pytest.raises(ValueError, match="NaN"):
            call(spoilt, 1)
        counted.add(call(clf, 1).snapshots_[-1].epoch == epoch)
    assert counted == {True, False}


@pytest.mark.parametrize("schedule", [QUICK, {"reinit_every": 2}], ids=["plateau", "2"])
def test_the_last_snapshots_are_kept_and_training_never_stops(schedule):
    few = call(make(n_snapshots=2, **schedule), 16)
    many = call(make(n_snapshots=20, **schedule), 16)
    assert len(few.loss_curve_) == 16
    assert events(few) == events(many)
    assert few.loss_curve_ == many.loss_curve_
    assert_same(few.snapshots_, many.snapshots_[-2:])


def test_one_snapshot_in_calls_is_that_of_the_last_cycle_or_the_network():
    clf = make(n_snapshots=1)
    for epoch in range(1, 13):
        (snapshot,) = call(clf, 1).snapshots_
        # the worst of one is the last: the network counts if it is no worse than that
        ended = epoch // 3 * 3
        counts = ended == 0 or clf.loss_ <= clf.loss_curve_[ended - 1]
        assert snapshot.epoch == (epoch if counts else ended)
    assert events(clf) == [4, 7, 10]


def test_a_call_after_a_complete_fit_begins_with_an_event():
    clf = make(n_snapshots=2, max_iter=50).fit(X, Y)
    assert (clf.n_iter_, events(clf)) == (6, [4])
    call(clf, 3)
    assert events(clf) == [4, 7]
    assert [s.epoch for s in clf.snapshots_] == [6, 9]


def test_a_warm_start_begins_a_new_cycle_without_snapshots():
    clf = make(warm_start=True, max_iter=8).fit(X, Y)
    assert [s.epoch for s in clf.snapshots_][:2] == [3, 6]
    clf.fit(X, Y)
    assert [s.epoch for s in clf.snapshots_][:2] == [11, 14]
    assert events(clf) == [4, 7, 12, 15]
    cycles = [record["cycle"] for record in clf.reinit_history_[::2]]
    assert cycles == [2, 3, 5, 6]


@pytest.mark.parametrize("max_iter", [6, 8], ids=["an event was due", "cut off"])
def test_a_warm_start_goes_on_from_the_last_snapshot_without_an_event(max_iter):
    clf = make(warm_start=True, max_iter=max_iter).fit(X, Y)
    last = clf.snapshots_[-1]
    still = clf.set_params(max_iter=1, learning_rate_init=1e-300).fit(X, Y)
    assert is_net(still, last)
    assert len(still.snapshots_) == 1


def test_the_first_cycle_of_a_warm_start_counts_wherever_it_is_cut_off():
    clf = make(warm_start=True, max_iter=6).fit(X, Y).set_params(max_iter=2).fit(X, Y)
    assert [s.epoch for s in clf.snapshots_] == [8]
    assert is_net(clf, clf.snapshots_[0])


def test_without_the_method_a_warm_start_keeps_its_patience():
    clf = make(k=0, warm_start=True, max_iter=50).fit(X, Y)
    assert clf.n_iter_ == 3
    assert clf.fit(X, Y).n_iter_ == 1


def test_n_snapshots_may_change_between_calls():
    clf = call(make(n_snapshots=5), 12)
    assert [s.epoch for s in clf.snapshots_] == [3, 6, 9, 12]
    call(clf.set_params(n_snapshots=2), 3)
    assert [s.epoch for s in clf.snapshots_] == [12, 15]


def test_with_k_0_from_some_call_on_the_network_predicts():
    clf = call(make(), 7)
    call(clf.set_params(k=0), 1)
    (snapshot,) = clf.snapshots_
    assert is_net(clf, snapshot)
    assert clf.net_.stacked_ is None
