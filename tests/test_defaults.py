"""The estimators as they come: early stopping by itself, and every way to use them."""

import warnings

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.neural_network import MLPClassifier, MLPRegressor

from sklearn_hessreg import (
    HessianRegularizedMLPClassifier,
    HessianRegularizedMLPRegressor,
)

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(0)) / X.std(0)
ORDER = np.random.default_rng(0).permutation(len(Y))
KINDS = [HessianRegularizedMLPClassifier, HessianRegularizedMLPRegressor]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=["classifier", "regressor"])
# scikit-learn's defaults that are not ours, with k
OF_SKLEARN = {"k": 0, "early_stopping": False, "scoring": None, "max_iter": 200}
# an end after few epochs: every third one is a plateau
SHORT = {"tol": 10.0, "n_iter_no_change": 1, "n_snapshots": 3, "random_state": 0}


def rows_of_two_classes(n):
    """Return n rows, the first two of which are of different classes."""
    return [0, 149, *(row for row in ORDER if row not in (0, 149))][:n]


def stops_early(estimator):
    return estimator.best_loss_ is None


@every_kind
@pytest.mark.parametrize("n", [2, 5, 10, 20, 50])
def test_any_number_of_rows_is_fitted_without_a_warning(kind, n):
    rows = rows_of_two_classes(n)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = kind(**SHORT).fit(X[rows], Y[rows])
    assert np.isfinite(model.predict(X)).all()


@every_kind
def test_a_class_of_one_row_is_no_reason_for_a_warning(kind):
    y = np.r_[np.zeros(149, int), 1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert stops_early(kind(**SHORT).fit(X, y))


@every_kind
@pytest.mark.parametrize(
    ("options", "n", "expected"),
    [
        ({}, 50, True),
        ({}, 49, False),
        ({"validation_fraction": 0.5}, 10, True),
        ({"validation_fraction": 0.5}, 9, False),
        ({"k": 0}, 150, False),
        ({"k": 0, "early_stopping": True}, 150, True),
        ({"early_stopping": False}, 150, False),
        ({"early_stopping": True}, 20, True),
        ({"solver": "lbfgs", "max_iter": 5}, 150, False),
        ({"reinit_every": 1, "max_iter": 8}, 150, True),
    ],
    ids=str,
)
def test_auto_stops_early_where_the_method_is_and_rows_suffice(
    kind, options, n, expected
):
    rows = rows_of_two_classes(n)
    y = Y[rows] > 0  # of which no class has a single row
    model = kind(**SHORT | options).fit(X[rows], y.astype(int))
    assert stops_early(model) == expected


@every_kind
def test_validation_data_of_ones_own_suffice(kind):
    rows = rows_of_two_classes(10)
    model = kind(**SHORT).fit(X[rows], Y[rows], X_val=X, y_val=Y)
    assert stops_early(model)


@every_kind
def test_partial_fit_sets_no_rows_aside(kind):
    classes = {"classes": [0, 1, 2]} if kind is KINDS[0] else {}
    model = kind(random_state=0).partial_fit(X, Y, **classes)
    assert not stops_early(model)
    assert model.t_ == len(X)


@every_kind
def test_partial_fit_after_fit_takes_part_in_the_predictions(kind):
    model = kind(**SHORT).fit(X, Y)
    before = model.predict(X) if kind is KINDS[1] else model.predict_proba(X)
    assert len(model.snapshots_) == 3
    model.partial_fit(X, Y)
    after = model.predict(X) if kind is KINDS[1] else model.predict_proba(X)
    assert len(model.snapshots_) == 3
    assert model.snapshots_[-1].score == model.loss_
    assert not np.array_equal(before, after)


@every_kind
def test_a_warm_start_begins_with_a_cycle(kind):
    model = kind(**SHORT, warm_start=True).fit(X, Y).fit(X, Y)
    assert len(model.snapshots_) == 3
    assert {s.score for s in model.snapshots_} <= set(model.validation_scores_)


@every_kind
def test_sparse_rows_stop_early_as_dense_ones(kind):
    dense, thin = (kind(**SHORT).fit(rows, Y) for rows in (X, csr_array(X)))
    assert dense.validation_scores_ == thin.validation_scores_


def test_several_labels_stop_early():
    rows, y = make_multilabel_classification(100, random_state=0)
    clf = HessianRegularizedMLPClassifier(**SHORT).fit(rows, y)
    assert stops_early(clf)
    assert clf.predict(rows).shape == y.shape


def test_balanced_classes_stop_early():
    clf = HessianRegularizedMLPClassifier(**SHORT, class_weight="balanced")
    assert stops_early(clf.fit(X, Y))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("ours", "theirs"), list(zip(KINDS, [MLPClassifier, MLPRegressor], strict=True))
)
def test_with_three_defaults_of_scikit_learn_k_0_is_scikit_learns_network(ours, theirs):
    ours = ours(**OF_SKLEARN, random_state=0).fit(X, Y)
    theirs = theirs(random_state=0).fit(X, Y)
    assert ours.n_iter_ == theirs.n_iter_
    # 200 epochs of Adam amplify an error of rounding by less than 1e5
    np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], atol=1e-10)


@pytest.mark.parametrize(
    ("ours", "theirs"), list(zip(KINDS, [MLPClassifier, MLPRegressor], strict=True))
)
def test_three_defaults_differ_from_scikit_learns(ours, theirs):
    ours, theirs = ours().get_params(), theirs().get_params()
    assert {n for n in theirs if n in ours and ours[n] != theirs[n]} == {
        *("early_stopping", "max_iter")
    }
    assert ours["scoring"] == "loss"
