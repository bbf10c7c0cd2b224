"""Callbacks of other projects: that exchange the history, that cannot be copied."""

import threading

import numpy as np
import pytest
from skorch.callbacks import Callback, Checkpoint, EpochScoring, LRScheduler
from torch.optim.lr_scheduler import OneCycleLR
from training_cases import X, Y

from sklearn_hessreg import HessianRegularizedMLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def make(*callbacks, **options):
    options = {
        "hidden_layer_sizes": (8,),
        "max_iter": 12,
        "batch_size": 25,
        "reinit_every": 1,
        "learning_rate_init": 0.05,
        "random_state": 0,
        "skorch_callbacks": list(callbacks),
        **options,
    }
    return HessianRegularizedMLPClassifier(**options)


def test_epochs_are_counted_where_a_checkpoint_exchanges_the_history(tmp_path):
    keep = Checkpoint(dirname=tmp_path, monitor="train_loss_best", load_best=True)
    clf = make(keep, k=50).fit(X, Y)
    assert (clf.n_iter_, len(clf.loss_curve_), clf.t_) == (12, 12, 12 * 150)
    assert clf.reinit_history_[-1]["epoch"] == 12


def test_a_warm_start_after_an_exchanged_history_is_not_taken_for_an_interrupt(
    tmp_path,
):
    keep = Checkpoint(dirname=tmp_path, monitor="train_loss_best", load_best=True)
    clf = make(keep, warm_start=True).fit(X, Y)
    clf.set_params(learning_rate_init=5.0, max_iter=2).fit(X, Y)
    assert clf.n_iter_ == 2


def test_a_stream_goes_on_where_a_callback_shortens_the_history():
    class KeepShort(Callback):
        def on_train_end(self, net, **kwargs):
            del net.history_[:-1]

    clf = make(KeepShort())
    for _ in range(3):
        clf.partial_fit(X, Y, classes=[0, 1, 2])
    assert len(clf.loss_curve_) == 3
    assert [record["epoch"] for record in clf.reinit_history_] == [2, 3]


class Log(Callback):
    """Holds what cannot be copied, as loggers do."""

    def __init__(self, writer):
        self.writer = writer

    def on_epoch_end(self, net, **kwargs):
        self.seen_ = len(net.history)


class Prune(Callback):
    """Keeps its parameter under another name, as Optuna's callback does."""

    def __init__(self, trial):
        self._trial = trial

    def on_epoch_end(self, net, **kwargs):
        self.seen_ = len(net.history)


@pytest.mark.parametrize(
    "callback", [Log(threading.Lock()), Prune(1)], ids=["lock", "other name"]
)
def test_a_callback_that_cannot_be_cloned_takes_part_itself(callback):
    make(callback).fit(X, Y)
    assert callback.seen_ == 12


def test_a_schedule_with_state_in_the_optimizer_goes_on_in_a_warm_start():
    schedule = LRScheduler(OneCycleLR, max_lr=0.01, total_steps=99)
    clf = make(schedule, warm_start=True, max_iter=2).fit(X, Y).fit(X, Y)
    assert len(clf.history_[:, "event_lr"]) == 4


def test_a_checkpoint_may_monitor_the_best_validation_accuracy(tmp_path):
    keep = Checkpoint(dirname=tmp_path, monitor="valid_acc_best")
    clf = make(keep).fit(X, Y, X_val=X, y_val=Y)
    best = [i for i, row in enumerate(clf.history_) if row["valid_acc_best"]]
    scores = clf.validation_scores_
    assert best == [i for i, s in enumerate(scores) if s > max(scores[:i], default=0)]


@pytest.mark.parametrize("callback", [EpochScoring("accuracy"), EpochScoring])
def test_scoring_that_does_not_know_the_weights_is_refused_with_ways_out(callback):
    with pytest.raises(ValueError, match=r"EpochScoring.*ScoringMonitor.*valid_acc"):
        make(callback).fit(X, Y)


def test_rows_of_batches_last_as_long_as_their_epoch():
    seen = []

    class Look(Callback):
        def on_epoch_end(self, net, **kwargs):
            seen.append(len(net.history[-1, "batches"]))

    clf = make(Look(), max_iter=3).fit(X, Y)
    assert seen == [6, 6, 6]
    assert [row["batches"] for row in clf.history_] == [[], [], []]


@pytest.mark.parametrize(
    ("callbacks", "old"), [([], []), ([Callback()], [None] * 4)], ids=["none", "one"]
)
def test_a_long_stream_keeps_the_last_rows_and_all_losses(callbacks, old, monkeypatch):
    monkeypatch.setattr("sklearn_hessreg._training._state.KEPT_ROWS", 3)
    monkeypatch.setattr("sklearn_hessreg._reinit._callback.KEPT_EVENTS", 3)
    clf = make(*callbacks)
    for _ in range(8):
        clf.partial_fit(X, Y, classes=[0, 1, 2])
    rows = [row.get("epoch") for row in clf.history_]
    assert rows == [*old, 5, 6, 7, 8]
    assert len(clf.loss_curve_) == 8
    assert np.isfinite(clf.loss_curve_).all()
    assert [record["epoch"] for record in clf.reinit_history_] == [5, 6, 7, 8]
