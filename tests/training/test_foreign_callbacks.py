"""Callbacks of other projects: that exchange the history, that cannot be copied."""

import threading

import numpy as np
import pytest
from settings import small
from skorch.callbacks import Callback, Checkpoint, EpochScoring, LRScheduler
from torch.optim.lr_scheduler import OneCycleLR
from training_cases import X, Y

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

optuna = pytest.importorskip("optuna")
optuna.logging.set_verbosity(optuna.logging.WARNING)


def make(*callbacks, **options):
    options = {"max_iter": 12, "learning_rate_init": 0.05, **options}
    return small(skorch_callbacks=list(callbacks), **options)


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


def test_a_callback_that_keeps_a_parameter_elsewhere_takes_part_itself():
    callback = Prune(1)
    make(callback).fit(X, Y)
    assert callback.seen_ == 12


@pytest.mark.parametrize("named", [False, True])
def test_a_callback_is_made_anew_of_its_very_parameters(named):
    callback = Log(threading.Lock())
    clf = make(("log", callback) if named else callback).fit(X, Y)
    trained = dict(clf.net_.callbacks_)["log" if named else "Log"]
    assert trained is not callback
    assert trained.writer is callback.writer


class Report(Callback):
    """Report to a trial and give it up, as Optuna's examples do."""

    def __init__(self, trial):
        self.trial = trial

    def on_epoch_end(self, net, **kwargs):
        epoch = len(net.history)
        self.trial.report(net.history[-1, "train_loss"], epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


class ReportTask:
    """The same as a callback of scikit-learn's."""

    def __init__(self, trial):
        self.trial = trial

    def setup(self, estimator, context):
        self.epoch = 0

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        if context.task_name != "epoch":
            return False
        self.epoch += 1
        self.trial.report(float(self.epoch), self.epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned
        return False


def fit_of(kind, trial):
    clf = make(max_iter=4)
    if kind is Report:
        return clf.set_params(skorch_callbacks=[Report(trial)])
    pytest.importorskip("sklearn.callback")
    return clf.set_callbacks(ReportTask(trial))


@pytest.mark.parametrize("kind", [Report, ReportTask])
def test_a_running_trial_in_memory_is_reported_to(kind):
    study = optuna.create_study()

    def objective(trial):
        fit_of(kind, trial).fit(X, Y)
        return 0.0

    study.optimize(objective, n_trials=1)
    assert list(study.trials[0].intermediate_values) == [1, 2, 3, 4]


@pytest.mark.parametrize("kind", [Report, ReportTask])
def test_a_running_trial_can_be_pruned(kind):
    study = optuna.create_study(pruner=optuna.pruners.ThresholdPruner(upper=-1.0))

    def objective(trial):
        fit_of(kind, trial).fit(X, Y)
        return 0.0

    study.optimize(objective, n_trials=1)
    assert study.trials[0].state.name == "PRUNED"
    assert list(study.trials[0].intermediate_values) == [1]


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


class FitOnceMore(Callback):
    """Let another fit begin while this one trains."""

    def __init__(self, other):
        self.other = other

    def on_train_end(self, net, **kwargs):
        self.other.fit(X, Y)


def keep_best(folder, prefix=""):
    return Checkpoint(
        monitor="train_loss_best", load_best=True, dirname=folder, fn_prefix=prefix
    )


def test_two_fits_at_once_do_not_share_the_folder_of_a_checkpoint(tmp_path):
    other = make(keep_best(tmp_path))
    with pytest.raises(ValueError, match=r"Another fit is writing.*of its own"):
        make(keep_best(tmp_path), FitOnceMore(other)).fit(X, Y)


@pytest.mark.parametrize(("folder", "prefix"), [("other", ""), ("", "two")])
def test_two_fits_at_once_may_write_to_two_places(tmp_path, folder, prefix):
    other = make(keep_best(tmp_path / folder, prefix))
    make(keep_best(tmp_path), FitOnceMore(other)).fit(X, Y)
    assert other.n_iter_ == 12


def test_the_folder_of_a_checkpoint_is_free_after_an_error(tmp_path):
    with pytest.raises(ValueError, match="Another fit"):
        make(keep_best(tmp_path), FitOnceMore(make(keep_best(tmp_path)))).fit(X, Y)
    assert make(keep_best(tmp_path)).fit(X, Y).n_iter_ == 12


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
    monkeypatch.setattr("sklearn_hessreg._training._carry_over.KEPT_ROWS", 3)
    monkeypatch.setattr("sklearn_hessreg._reinit._hessian_reinit.KEPT_EVENTS", 3)
    clf = make(*callbacks)
    for _ in range(8):
        clf.partial_fit(X, Y, classes=[0, 1, 2])
    rows = [row.get("epoch") for row in clf.history_]
    assert rows == [*old, 5, 6, 7, 8]
    assert len(clf.loss_curve_) == 8
    assert np.isfinite(clf.loss_curve_).all()
    assert [record["epoch"] for record in clf.reinit_history_] == [5, 6, 7, 8]
