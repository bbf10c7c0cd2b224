"""Label quality and out-of-bag predictions: which labels are wrong."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, r2_score

from sklearn_hessreg import (
    HessianRegularizedMLPClassifier,
    HessianRegularizedMLPRegressor,
)

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])
TWO_LABELS = np.column_stack([Y == 0, Y >= 1]).astype(int)
NUMBERS = X[:, 3]
# many cycles in few epochs
QUICK = {"hidden_layer_sizes": (8,), "random_state": 0, "n_iter_no_change": 3}
QUICK |= {"learning_rate_init": 0.05, "tol": 0.01, "n_snapshots": 4}
pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:.*rows were held out in no cycle"),
]


def classifier(**options):
    return HessianRegularizedMLPClassifier(**QUICK | options)


def regressor(**options):
    return HessianRegularizedMLPRegressor(**QUICK | options)


def linear(model, y, W):
    """Fit a network without a hidden layer, then write its weights by hand."""
    options = {"hidden_layer_sizes": (), "k": 0, "max_iter": 1}
    model.set_params(**options).fit(np.eye(len(y)), y)
    with torch.no_grad():
        (layer,) = model.net_.module_.layers
        layer.weight.copy_(torch.tensor(W, dtype=torch.float64))
        layer.bias.zero_()
    return model


def test_margins_of_known_probabilities():
    P = np.array([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1], [0.1, 0.8, 0.1]])
    clf = linear(classifier(), [0, 1, 2], np.log(P).T)
    given = [0, 1, 0]  # with margins .7 - .2, .2 - .7 and .1 - .8
    np.testing.assert_allclose(clf.label_quality(np.eye(3), given), [0.75, 0.25, 0.15])


def test_margins_of_two_classes():
    logits = np.log([[0.9 / 0.1, 0.3 / 0.7]])
    clf = linear(classifier(), ["no", "yes"], logits)
    quality = clf.label_quality(np.eye(2), ["no", "no"])
    np.testing.assert_allclose(quality, [0.1, 0.7])


def test_quality_of_each_label_is_the_probability_of_what_is_given():
    P = np.array([[0.9, 0.3], [0.2, 0.6]])
    clf = linear(classifier(), [[1, 0], [0, 1]], np.log(P / (1 - P)).T)
    quality = clf.label_quality(np.eye(2), [[1, 0], [0, 0]])
    np.testing.assert_allclose(quality, [[0.9, 0.7], [0.8, 0.4]])


def test_residuals_are_in_units_of_their_spread():
    reg = linear(regressor(), np.zeros(5), np.zeros((1, 5)))
    quality = reg.label_quality(np.eye(5), [-1, 0, 0.5, 1, 8])
    # their median is .5, the median distance from it also
    expected = np.exp(-np.array([1, 0, 0.5, 1, 8]) / (1.4826 * 0.5))
    np.testing.assert_allclose(quality, expected, rtol=1e-4)


def test_a_single_target_is_measured_without_a_spread():
    reg = linear(regressor(), np.zeros(5), np.zeros((1, 5)))
    np.testing.assert_allclose(reg.label_quality(np.eye(5)[:1], [2]), np.exp(-2))


@pytest.mark.parametrize("labels", [Y, NAMES[Y]], ids=["numbers", "strings"])
def test_equals_cleanlabs_normalised_margin(labels):
    rank = pytest.importorskip("cleanlab.rank")
    clf = classifier().fit(X, labels)
    proba = clf.predict_proba(X)
    expected = rank.get_label_quality_scores(Y, proba, method="normalized_margin")
    np.testing.assert_allclose(clf.label_quality(X, labels), expected)


def test_equals_cleanlabs_score_of_residuals():
    rank = pytest.importorskip("cleanlab.regression.rank")
    reg = regressor().fit(X, NUMBERS)
    r = NUMBERS - reg.predict(X)
    s = 1.482602 * np.median(np.abs(r - np.median(r)))
    expected = rank.get_label_quality_scores(
        NUMBERS / s, reg.predict(X) / s, method="residual"
    )
    np.testing.assert_allclose(reg.label_quality(X, NUMBERS), expected, rtol=1e-5)


def test_each_output_of_several_has_a_quality():
    targets = X[:, 2:]
    quality = regressor().fit(X, targets).label_quality(X, targets)
    assert quality.shape == targets.shape


@pytest.mark.parametrize("container", [sparse.csr_array, pd.DataFrame])
def test_rows_may_be_sparse_or_a_frame(container):
    rows = container(X)
    clf = classifier().fit(rows, Y)
    assert clf.label_quality(rows, Y).shape == (150,)


def test_wrong_labels_are_among_the_first_ten_of_the_ranking():
    spoilt = Y.copy()
    spoilt[[0, 50, 100]] = 1, 2, 0
    clf = classifier(n_snapshots=10).fit(X, spoilt)
    assert {0, 100} <= set(np.argsort(clf.label_quality(X, spoilt))[:10])


@pytest.mark.parametrize("make", [classifier, regressor])
def test_an_unfitted_estimator_says_so(make):
    with pytest.raises(NotFittedError):
        make().label_quality(X, Y)


def test_an_unknown_label_is_named():
    with pytest.raises(ValueError, match=r"classes \[7\] that are not among"):
        classifier().fit(X, Y).label_quality(X[:2], [0, 7])


def expected_oob(model, link):
    """Average, for each row, the networks that held it out, by definition."""
    net = model.net_
    total, count = np.zeros((len(X), model.n_outputs_)), np.zeros((len(X), 1))
    for snapshot, rows in zip(model.snapshots_, net.held_out_, strict=True):
        h = X[rows]
        for i, (W, b) in enumerate(
            zip(snapshot.coefs, snapshot.intercepts, strict=True)
        ):
            h = h @ W + b
            h = np.maximum(h, 0) if i < len(snapshot.coefs) - 1 else h
        total[rows] += link(h)
        count[rows] += 1
    with np.errstate(invalid="ignore"):
        return total / count


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


# rounding of two products of 8 numbers, in other orders
ROUNDING = {"rtol": 1e-10, "atol": 1e-12}


def test_rows_are_predicted_by_the_networks_that_held_them_out():
    clf = classifier(oob_score=True).fit(X, Y)
    expected = expected_oob(clf, softmax)
    assert np.isnan(expected).any()  # four cycles of a tenth each
    np.testing.assert_allclose(clf.oob_decision_function_, expected, **ROUNDING)


def test_numbers_are_predicted_by_the_networks_that_held_them_out():
    reg = regressor(oob_score=True).fit(X, NUMBERS)
    expected = expected_oob(reg, np.asarray).ravel()
    np.testing.assert_allclose(reg.oob_prediction_, expected, **ROUNDING)


@pytest.mark.parametrize("labels", [Y, NAMES[Y]], ids=["numbers", "strings"])
def test_the_score_is_the_accuracy_of_the_rows_predicted(labels):
    clf = classifier(oob_score=True).fit(X, labels)
    proba = clf.oob_decision_function_
    there = ~np.isnan(proba).any(axis=1)
    decided = clf.classes_[proba[there].argmax(axis=1)]
    assert clf.oob_score_ == accuracy_score(labels[there], decided)


def test_the_score_of_labels_is_their_subset_accuracy():
    clf = classifier(oob_score=True).fit(X, TWO_LABELS)
    proba = clf.oob_decision_function_
    there = ~np.isnan(proba).any(axis=1)
    assert clf.oob_score_ == accuracy_score(TWO_LABELS[there], proba[there] > 0.5)


def test_the_score_of_numbers_is_r2():
    reg = regressor(oob_score=True).fit(X, NUMBERS)
    there = ~np.isnan(reg.oob_prediction_)
    assert reg.oob_score_ == r2_score(NUMBERS[there], reg.oob_prediction_[there])


def test_after_a_round_of_cycles_every_row_is_predicted():
    clf = classifier(oob_score=True, n_snapshots=5, validation_fraction=0.2)
    assert np.isfinite(clf.fit(X, Y).oob_decision_function_).all()


@pytest.mark.parametrize("reinit_every", ["plateau", 5])
def test_one_split_for_all_cycles_predicts_its_rows_alone(reinit_every):
    options = {"plateau": {"k": 0}}.get(reinit_every, {"max_iter": 20})
    clf = classifier(
        oob_score=True, early_stopping=True, reinit_every=reinit_every, **options
    )
    assert np.isfinite(clf.fit(X, Y).oob_decision_function_).all(axis=1).sum() == 15


def test_rows_of_weight_zero_are_not_predicted():
    weight = np.ones(150)
    weight[::3] = 0
    options = {"n_snapshots": 5, "validation_fraction": 0.2}
    clf = classifier(oob_score=True, **options).fit(X, Y, weight)
    np.testing.assert_array_equal(
        np.isnan(clf.oob_decision_function_).any(axis=1), weight == 0
    )
    without = classifier(oob_score=True, **options).fit(X[weight > 0], Y[weight > 0])
    np.testing.assert_array_equal(
        clf.oob_decision_function_[weight > 0], without.oob_decision_function_
    )


def test_the_next_fit_without_it_forgets_it():
    clf = classifier(oob_score=True).fit(X, Y)
    clf.set_params(oob_score=False).fit(X, Y)
    assert not hasattr(clf, "oob_score_")
    assert not hasattr(clf, "oob_decision_function_")


def test_it_changes_nothing_in_training():
    networks = [classifier(oob_score=oob).fit(X, Y).coefs_ for oob in (False, True)]
    for W, V in zip(*networks, strict=True):
        assert np.array_equal(W, V)


@pytest.mark.parametrize("make", [classifier, regressor])
@pytest.mark.parametrize(
    ("options", "given", "reason"),
    [
        ({"k": 0}, {}, "Set early_stopping=True"),
        ({"early_stopping": False}, {}, "Set early_stopping=True"),
        ({"solver": "lbfgs"}, {}, "Use 'adam' or 'sgd'"),
        ({}, {"X_val": X[::2], "y_val": Y[::2]}, "Leave X_val and y_val out"),
        ({"distributed": True}, {}, "Set it to False"),
    ],
)
def test_where_no_rows_are_held_out_it_is_refused(make, options, given, reason):
    with pytest.raises(ValueError, match=f"oob_score=True.*{reason}"):
        make(oob_score=True, **options).fit(X, Y, **given)


@pytest.mark.parametrize("make", [classifier, regressor])
def test_partial_fit_refuses_it(make):
    model = make(oob_score=True)
    classes = {"classes": [0, 1, 2]} if make is classifier else {}
    with pytest.raises(ValueError, match=r"oob_score=True.*Use fit"):
        model.partial_fit(X, Y, **classes)


def test_cleanlab_finds_wrong_labels_by_it():
    filters = pytest.importorskip("cleanlab.filter")
    spoilt = Y.copy()
    spoilt[[3, 60, 120]] = 1, 2, 0
    clf = classifier(n_snapshots=10, oob_score=True).fit(X, spoilt)
    is_wrong = filters.find_label_issues(spoilt, clf.oob_decision_function_)
    assert is_wrong[[3, 120]].all()


def test_rows_without_a_prediction_are_warned_of():
    with pytest.warns(UserWarning, match=r"90 of 150 rows.*Increase n_snapshots"):
        classifier(oob_score=True).fit(X, Y)
