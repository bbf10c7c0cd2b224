"""scikit-learn's callbacks on the estimator: epochs, nesting, models, errors."""

import copy
import io
import pickle
import sys
from functools import partial

import numpy as np
import pytest
from settings import small
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from sklearn_hessreg import (
    HessianRegularizedMLPClassifier,
    HessianRegularizedMLPRegressor,
)

sklearn_callback = pytest.importorskip("sklearn.callback", reason="before 1.9")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, Y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)
NAMES = np.array(["setosa", "versicolor", "virginica"])
every_kind = pytest.mark.parametrize(
    "kind", [HessianRegularizedMLPClassifier, HessianRegularizedMLPRegressor]
)


class Record:
    """Record the tasks that begin and end, and their last models."""

    def __init__(self, stop_after=None, fail_at=None):
        self.stop_after = stop_after
        self.fail_at = fail_at
        self.tasks, self.models, self.metadata = [], [], []

    def _note(self, event, context):
        self.tasks.append((event, context.task_name, context.task_id))
        if self.fail_at == self.tasks[-1]:
            raise RuntimeError("callback")

    def setup(self, estimator, context):
        self._note("setup", context)

    def teardown(self, estimator, context):
        self._note("teardown", context)

    def on_fit_task_begin(self, estimator, context):
        self._note("begin", context)

    def on_fit_task_end(
        self, estimator, context, *, X, y, metadata=None, fitted_estimator=None
    ):
        self._note("end", context)
        self.models.append(fitted_estimator)
        self.metadata.append((X, y, metadata))
        return self.stop_after is not None and context.task_id + 1 == self.stop_after


make = partial(small, max_iter=4)


def monitor(scoring="accuracy"):
    return sklearn_callback.ScoringMonitor(scoring=scoring)


def epochs(log):
    """The log's rows that are epochs, as {path of the fit: scores}."""
    fits = {}
    for row in log.data:
        if row["task_name"] == "epoch":
            fits.setdefault(row["parent_task_id_path"], []).append(row["accuracy"])
    return fits


@every_kind
def test_every_epoch_is_a_task_within_the_fit(kind):
    record = Record()
    make(kind, max_iter=2).set_callbacks(record).fit(X, Y)
    assert record.tasks == [
        ("setup", "fit", 0),
        ("begin", "fit", 0),
        ("begin", "epoch", 0),
        ("end", "epoch", 0),
        ("begin", "epoch", 1),
        ("end", "epoch", 1),
        ("end", "fit", 0),
        ("teardown", "fit", 0),
    ]


def test_early_stop_ends_the_tasks():
    record = Record()
    clf = make(k=0, early_stopping=True, n_iter_no_change=1, max_iter=50, tol=1)
    clf.set_callbacks(record).fit(X, Y)
    assert clf.n_iter_ < 50
    assert record.tasks.count(("end", "fit", 0)) == 1
    assert sum(task[:2] == ("end", "epoch") for task in record.tasks) == clf.n_iter_


def test_callback_that_returns_true_stops_the_training():
    clf = make().set_callbacks(Record(stop_after=2)).fit(X, Y)
    assert clf.n_iter_ == 2
    expected = make(max_iter=2).fit(X, Y)
    np.testing.assert_array_equal(clf.coefs_[0], expected.coefs_[0])


def test_callbacks_see_what_fit_was_called_with():
    record, weight = Record(), np.arange(len(Y)) % 3
    make(early_stopping=True).set_callbacks(record).fit(X, NAMES[Y], weight)
    for seen_X, seen_y, metadata in record.metadata:
        assert seen_X is X
        assert np.array_equal(seen_y, NAMES[Y])
        assert metadata["sample_weight"] is weight


def test_monitor_logs_the_training_accuracy_of_every_epoch():
    record, log = Record(), monitor()
    make().set_callbacks(log, record).fit(X, NAMES[Y])
    scores = [accuracy_score(NAMES[Y], model.predict(X)) for model in record.models]
    (logged,) = epochs(log.get_logs()).values()
    assert logged == scores[:-1]
    assert len(set(scores)) > 1


@every_kind
@pytest.mark.parametrize("early_stopping", [False, True])
def test_monitor_on_validation_data_logs_the_validation_scores(kind, early_stopping):
    valid = X[::3], Y[::3]
    log = monitor(lambda model, X, y: {"accuracy": model.score(*valid)})
    clf = make(kind, early_stopping=early_stopping, n_snapshots=1).set_callbacks(log)
    clf.fit(X, Y, X_val=valid[0], y_val=valid[1])
    (logged,) = epochs(log.get_logs()).values()
    assert logged == clf.validation_scores_


@every_kind
def test_model_of_an_epoch_is_the_one_that_training_to_there_gives(kind):
    record = Record()
    make(kind).set_callbacks(record).fit(X, Y)
    for n_iter, model in enumerate(record.models[:-1], start=1):
        expected = make(kind, max_iter=n_iter).fit(X, Y)
        assert np.array_equal(model.predict(X), expected.predict(X))
        assert np.array_equal(model.coefs_[0], expected.coefs_[0])
        assert model.n_iter_ == n_iter
        assert model.loss_curve_ == expected.loss_curve_
        assert len(model.history_) == n_iter
        assert len(model.reinit_history_) == n_iter - 1
        assert model.t_ == expected.t_


@pytest.mark.parametrize("n_snapshots", [1, 2, 10])
@pytest.mark.parametrize("every", ["plateau", 2])
def test_model_of_an_epoch_predicts_as_if_training_had_ended_there(every, n_snapshots):
    # nothing is an improvement, so that a plateau comes every third epoch; the high
    # rate makes some networks of a cycle cut off count, and others not
    cycles = {"tol": 10.0, "n_iter_no_change": 1, "learning_rate_init": 0.3}
    options = {**cycles, "reinit_every": every, "n_snapshots": n_snapshots, "k": 30}
    record = Record()
    clf = make(**options, max_iter=10).set_callbacks(record).fit(X, Y)
    for n_iter, model in enumerate(record.models[:-1], start=1):
        expected = make(**options, max_iter=n_iter).fit(X, Y)
        epochs = [[s.epoch for s in each.snapshots_] for each in (model, expected)]
        assert epochs[0] == epochs[1]
        assert np.array_equal(model.predict_proba(X), expected.predict_proba(X))
    assert np.array_equal(model.predict_proba(X), clf.predict_proba(X))


@every_kind
def test_training_is_the_same_with_callbacks(kind):
    plain = make(kind).fit(X, Y)
    watch = monitor(lambda model, X, y: {"accuracy": model.score(X, y)})
    watched = make(kind).set_callbacks(watch).fit(X, Y)
    for a, b in zip(plain.coefs_, watched.coefs_, strict=True):
        assert np.array_equal(a, b)


def test_fitted_net_keeps_no_callback_of_scikit_learn():
    names = [
        [name for name, _ in clf.fit(X, Y).net_.callbacks_]
        for clf in (make(), make().set_callbacks(Record()))
    ]
    assert names[0] == names[1]


def test_partial_fit_is_a_task_of_one_epoch():
    record = Record()
    clf = make().set_callbacks(record).partial_fit(X, Y, classes=[0, 1, 2])
    clf.partial_fit(X, Y)
    ends = [task[1:] for task in record.tasks if task[0] == "end"]
    assert ends == [("epoch", 0), ("partial_fit", 0)] * 2
    assert [model.t_ for model in record.models] == [150, 150, 300, 300]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_epochs_are_nested_in_every_fit_of_a_search(n_jobs):
    log = monitor()
    search = GridSearchCV(make().set_callbacks(log), {"k": [0, 5]}, cv=2, n_jobs=n_jobs)
    search.fit(X, Y)
    fits = epochs(log.get_logs())
    assert sorted(fits) == [(0, 0, i) for i in range(4)] + [(0, 1)]
    assert all(len(scores) == 4 for scores in fits.values())
    assert fits[0, 1][-1] == search.best_estimator_.score(X, Y)


def test_epochs_are_nested_in_a_pipeline():
    log = monitor()
    model = make_pipeline(StandardScaler(), make().set_callbacks(log)).fit(X, Y)
    assert {path: len(v) for path, v in epochs(log.get_logs()).items()} == {(0, 1): 4}
    assert epochs(log.get_logs())[0, 1][-1] == model.score(X, Y)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_progress_bar_on_a_search_over_a_pipeline_shows_every_fit(n_jobs, monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setenv("COLUMNS", "200")
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stdout", screen)
    bar = sklearn_callback.ProgressBar(max_propagation_depth=None)
    model = make_pipeline(StandardScaler(), make())
    grid = {"hessianregularizedmlpclassifier__k": [0, 5]}
    GridSearchCV(model, grid, cv=2, n_jobs=n_jobs).set_callbacks(bar).fit(X, Y)
    last = screen.getvalue().rpartition("GridSearchCV - fit ")[2].splitlines()
    fits = [line for line in last if "HessianRegularizedMLPClassifier - fit" in line]
    assert len(fits) == 5
    assert all("100%" in line for line in fits)


@pytest.mark.parametrize(
    "fail_at",
    [
        ("setup", "fit", 0),
        ("begin", "fit", 0),
        ("begin", "epoch", 1),
        ("end", "epoch", 0),
        ("end", "fit", 0),
    ],
)
@pytest.mark.parametrize("fitted", [False, True])
def test_error_in_a_callback_leaves_the_estimator_as_it_was(fail_at, fitted):
    record = Record(fail_at=fail_at)
    clf = make()
    if fitted:
        clf.fit(X, Y)
    clf.set_callbacks(record)
    before = vars(clf).copy()
    with pytest.raises(RuntimeError, match="callback"):
        clf.fit(X, Y)
    assert vars(clf) == before
    assert record.tasks[-1] == ("teardown", "fit", 0)


def test_error_in_training_tears_the_callbacks_down():
    record = Record()
    clf = make(solver="sgd", learning_rate_init=1e30, k=0).set_callbacks(record)
    before = vars(clf).copy()
    with pytest.raises(ValueError, match="loss became"):
        clf.fit(X, Y)
    assert vars(clf) == before
    assert record.tasks[-1] == ("teardown", "fit", 0)


def test_epoch_interrupted_by_the_user_is_ended():
    class Interrupt(Callback):
        def on_batch_end(self, net, training=False, **kwargs):
            if len(net.history) == 2 and training:
                raise KeyboardInterrupt

    record = Record()
    clf = make(skorch_callbacks=[Interrupt()]).set_callbacks(record)
    with pytest.warns(UserWarning, match="interrupted"):
        clf.fit(X, Y)
    ends = [task[1:] for task in record.tasks if task[0] == "end"]
    assert ends == [("epoch", 0), ("epoch", 1), ("fit", 0)]
    assert [model is None for model in record.models] == [False, True, False]


def test_no_callback_is_called_without_any():
    class NoContext(HessianRegularizedMLPClassifier):
        def _init_callback_context(self, *args, **kwargs):
            raise AssertionError

    clf = NoContext(hidden_layer_sizes=(4,), max_iter=2).set_callbacks()
    assert clf.fit(X, Y).n_iter_ == 2


def test_copies_of_an_estimator_have_its_callbacks():
    record = Record()
    clf = make().set_callbacks(record).fit(X, Y)
    for other in (clone(clf), copy.copy(clf)):
        n_before = len(record.tasks)
        other.fit(X, Y)
        assert len(record.tasks) == 2 * 5 + 2 + n_before
    loaded = pickle.loads(pickle.dumps(clf))
    assert np.array_equal(loaded.predict_proba(X), clf.predict_proba(X))
    assert loaded.fit(X, Y).n_iter_ == 4
