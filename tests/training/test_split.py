"""The rows set aside for validation: of the user's own data, which are not copied."""

import warnings
from functools import partial

import numpy as np
import pytest
from scipy import sparse
from settings import PLAIN
from sklearn.base import clone
from sklearn.model_selection import train_test_split
from skorch.callbacks import Callback
from training_cases import X, Y, make_spec

from sklearn_hessreg import (
    HessianRegularizedMLPClassifier,
    HessianRegularizedMLPRegressor,
)
from sklearn_hessreg._training._split import ValidationSplit
from sklearn_hessreg._validation import split_validation

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Parts(Callback):
    """Keep the samples of the last epoch."""

    last = None

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        Parts.last = dataset_train, dataset_valid


def parts_of(X, **options):
    """Train with early stopping, and return the samples of both parts."""
    HessianRegularizedMLPClassifier(
        **{**PLAIN, "k": 0, "early_stopping": True, **options},
        hidden_layer_sizes=(3,),
        random_state=0,
        skorch_callbacks=[Parts],
        max_iter=2,
    ).fit(X, Y)
    return Parts.last


def read_only(X):
    X = X.copy()
    X.setflags(write=False)
    return X


KINDS = {
    "array": X,
    "read-only array": read_only(X),
    "CSR, dense in batches": sparse.csr_array(X),
    "CSR": sparse.csr_array(X * (np.arange(X.size).reshape(X.shape) % 20 == 0)),
}


def callback_state(X):
    """Return the array in which the numbers stand."""
    return X.data if sparse.issparse(X) else np.asarray(X)


@pytest.mark.parametrize("kind", KINDS)
def test_early_stopping_copies_no_rows(kind):
    for samples in parts_of(KINDS[kind]):
        assert np.shares_memory(callback_state(samples.X), callback_state(KINDS[kind]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shuffle", [True, False])
def test_both_parts_together_are_all_rows_once(kind, shuffle):
    parts = parts_of(KINDS[kind], shuffle=shuffle)
    rows = np.concatenate([samples.rows for samples in parts])
    np.testing.assert_array_equal(np.sort(rows), np.arange(len(X)))
    for samples in parts:
        inputs, (target, _) = samples[slice(0, 7)]
        dense = KINDS[kind].toarray() if sparse.issparse(KINDS[kind]) else X
        np.testing.assert_array_equal(inputs, dense[samples.rows[:7]])
        np.testing.assert_array_equal(target, Y[samples.rows[:7]])


def test_a_scorer_of_the_users_is_given_the_validation_rows():
    given = []

    def scoring(model, X, y):
        given.append((X, y))
        return 0.0

    _, valid = parts_of(X, scoring=scoring)
    for rows, labels in given:
        np.testing.assert_array_equal(rows, X[valid.rows])
        np.testing.assert_array_equal(labels, Y[valid.rows])


class Folds(Callback):
    """Note the rows of both parts in each cycle."""

    def on_train_begin(self, net, **kwargs):
        self.cycles_ = []

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        if len(self.cycles_) == len(dict(net.callbacks_)["hessian_reinit"].snapshots_):
            self.cycles_.append((dataset_train.rows, dataset_valid.rows))


def folds_of(model, X, y):
    """Train in cycles of a few epochs; return the rows of both parts in each."""
    options = {"tol": 10.0, "n_iter_no_change": 1, "skorch_callbacks": [Folds()]}
    model.set_params(**options, hidden_layer_sizes=(3,), random_state=0).fit(X, y)
    return dict(model.net_.callbacks_)["Folds"].cycles_


TWO_LABELS = np.column_stack([Y == 0, Y == 1]).astype(int)
MODELS = {
    "classes": (HessianRegularizedMLPClassifier(), Y),
    "labels": (HessianRegularizedMLPClassifier(), TWO_LABELS),
    "numbers": (HessianRegularizedMLPRegressor(), X[:, 0]),
}


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5, 0.7])
@pytest.mark.parametrize("kind", MODELS)
def test_every_row_validates_once_before_any_does_again(kind, fraction):
    model, y = MODELS[kind]
    model = clone(model).set_params(validation_fraction=fraction, n_snapshots=12)
    cycles, n_folds = folds_of(model, X, y), max(2, round(1 / fraction))
    for start in range(0, 12 // n_folds * n_folds, n_folds):
        rows = np.concatenate([v for _, v in cycles[start : start + n_folds]])
        np.testing.assert_array_equal(np.sort(rows), np.arange(len(X)))


@pytest.mark.parametrize("kind", MODELS)
def test_in_each_cycle_all_rows_train_that_do_not_validate(kind):
    model, y = MODELS[kind]
    for train, valid in folds_of(clone(model), X, y):
        both = np.sort(np.concatenate([train, valid]))
        np.testing.assert_array_equal(both, np.arange(len(X)))


def test_the_folds_are_stratified():
    for _, valid in folds_of(HessianRegularizedMLPClassifier(), X, Y):
        counts = np.bincount(Y[valid], minlength=3)
        assert counts.max() - counts.min() <= 1  # of 150 rows, 50 in each class


def test_the_next_round_has_other_folds():
    clf = HessianRegularizedMLPClassifier(validation_fraction=0.5, n_snapshots=4)
    (_, first), _, (_, third), _ = folds_of(clf, X, Y)
    assert set(first) != set(third)


def test_the_first_rows_to_validate_are_those_of_sklearn():
    clf = HessianRegularizedMLPClassifier(k=0, early_stopping=True, max_iter=3)
    ((_, valid),) = folds_of(clf, X, Y)
    # after the weights of two layers and their biases have been drawn
    random_state = np.random.RandomState(0)
    for shape in ((4, 3), 3, (3, 3), 3):
        random_state.uniform(size=shape)
    _, expected = train_test_split(
        np.arange(len(Y)), test_size=0.1, stratify=Y, random_state=random_state
    )
    np.testing.assert_array_equal(valid, expected)


def test_a_split_is_brought_to_where_another_one_was():
    spec = make_spec({"reinit_every": "plateau"})
    part = partial(split_validation, fraction=0.5, classes=np.arange(3))
    data = X, Y, np.ones(len(X)), np.ones(len(X))
    split = ValidationSplit(part, data, np.random.RandomState(0), spec)
    for _ in range(4):  # in the second of two rounds and the first of the third
        split.rotate()
    other = ValidationSplit(part, data, np.random.RandomState(1), spec)
    other.load_state_dict(split.state_dict())
    np.testing.assert_array_equal(other.valid.rows, split.valid.rows)
    np.testing.assert_array_equal(other.train.rows, split.train.rows)
    assert len(other.held_out) == 5
    for rows, expected in zip(other.held_out, split.held_out, strict=True):
        np.testing.assert_array_equal(rows, expected)


def test_a_class_of_few_rows_is_in_every_validation_part():
    rare = np.where(np.arange(len(X)) % 25 == 0, 1, 0)  # six rows, of ten folds
    for _, valid in folds_of(HessianRegularizedMLPClassifier(), X, rare):
        assert set(rare[valid]) == {0, 1}


def test_each_cycle_draws_anew_where_a_fold_has_constant_targets_and_r2_is_watched():
    y = np.where(np.arange(len(X)) % 12 == 0, 1.0, 0.0)
    reg = HessianRegularizedMLPRegressor(scoring=None, n_snapshots=10)
    with warnings.catch_warnings():  # of a first part that is drawn constant
        warnings.simplefilter("ignore", UserWarning)
        rows = np.concatenate([valid for _, valid in folds_of(reg, X, y)])
    assert len(np.unique(rows)) < len(rows)  # folds of a round have no row in common
