"""scoring: what early stopping, cycles and snapshots go by."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import (
    balanced_accuracy_score,
    f1_score,
    log_loss,
    mean_absolute_error,
    mean_poisson_deviance,
    mean_squared_error,
)
from sklearn.utils.class_weight import compute_class_weight
from training_cases import QUICK, X, Y

from sklearn_hessreg import (
    HessianRegularizedMLPClassifier,
    HessianRegularizedMLPRegressor,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
THIRD = slice(0, None, 3)
WEIGHT = np.random.default_rng(0).uniform(0.1, 3, len(Y))
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 0}


def make(**options):
    return HessianRegularizedMLPClassifier(**SMALL | options)


def fit(clf, y=NAMES, weight=None):
    """Validate on a third of the rows, without early stopping on the last network."""
    weight = None if weight is None else weight[THIRD]
    return clf.fit(X, y, X_val=X[THIRD], y_val=y[THIRD], sample_weight_val=weight)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
def test_a_scorers_name_scores_the_validation_data(weight):
    clf = fit(make(k=0, scoring="balanced_accuracy"), weight=weight)
    expected = balanced_accuracy_score(
        NAMES[THIRD],
        clf.predict(X[THIRD]),
        sample_weight=None if weight is None else weight[THIRD],
    )
    assert clf.validation_scores_[-1] == pytest.approx(expected)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
def test_loss_is_the_negative_of_the_validation_loss(weight):
    clf = fit(make(k=0, scoring="loss"), weight=weight)
    expected = -log_loss(
        NAMES[THIRD],
        clf.predict_proba(X[THIRD]),
        sample_weight=None if weight is None else weight[THIRD],
    )
    assert clf.validation_scores_[-1] == pytest.approx(expected)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("class_weight", [{0: 3.0, 1: 0.5}, "balanced"], ids=str)
def test_the_loss_is_weighted_by_class_as_in_training(class_weight, n_classes):
    rows = n_classes > Y
    y = Y[rows]
    if isinstance(class_weight, dict) and n_classes == 3:
        class_weight = {**class_weight, 2: 1.0}
    clf = make(k=0, class_weight=class_weight)
    clf.fit(X[rows][5:], y[5:], X_val=X[rows], y_val=y, sample_weight_val=WEIGHT[rows])
    by_class = compute_class_weight(class_weight, classes=np.unique(y), y=y[5:])
    weight = WEIGHT[rows] * by_class[y]
    expected = -log_loss(y, clf.predict_proba(X[rows]), sample_weight=weight)
    assert clf.validation_scores_[-1] == pytest.approx(expected)


def test_loss_of_several_batches_is_weighted_as_a_whole():
    rows, y, weight = np.tile(X, (9, 1)), np.tile(Y, 9), np.repeat([1.0, 5.0], 675)
    clf = make(k=0, scoring="loss", max_iter=2)
    clf.fit(X, Y, X_val=rows, y_val=y, sample_weight_val=weight)
    expected = -log_loss(y, clf.predict_proba(rows), sample_weight=weight)
    assert clf.validation_scores_[-1] == pytest.approx(expected)


NUMBERS = X[:, 3] - X[:, 3].min()
TARGETS = {"one": NUMBERS, "two": np.stack([NUMBERS, X[:, 2] ** 2], 1)}
# what loss_curve_ has of them: a mean over the outputs, or a sum
LOSSES = {
    "squared_error": lambda y, z, w: mean_squared_error(y, z, sample_weight=w) / 2,
    "absolute_error": lambda y, z, w: mean_absolute_error(y, z, sample_weight=w),
    "poisson": lambda y, z, w: (
        sum(mean_poisson_deviance(*c, sample_weight=w) for c in columns(y, z)) / 2
    ),
}


def columns(*arrays):
    """Go through the outputs one by one."""
    return zip(*(a.reshape(len(a), -1).T for a in arrays), strict=True)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("outputs", TARGETS)
@pytest.mark.parametrize("loss", LOSSES)
def test_of_a_regressor_the_loss_is_that_of_loss_curve(loss, outputs, weight):
    y = TARGETS[outputs]
    reg = HessianRegularizedMLPRegressor(k=0, loss=loss, scoring="loss", **SMALL)
    fit(reg, y, weight)
    weight = None if weight is None else weight[THIRD]
    expected = -LOSSES[loss](y[THIRD], reg.predict(X[THIRD]), weight)
    assert reg.validation_scores_[-1] == pytest.approx(expected)


@pytest.mark.parametrize("outputs", TARGETS)
def test_of_a_regressor_a_scorers_name_scores_the_validation_data(outputs):
    y = TARGETS[outputs]
    scoring = "neg_mean_absolute_error"
    reg = fit(HessianRegularizedMLPRegressor(k=0, scoring=scoring, **SMALL), y)
    expected = -mean_absolute_error(y[THIRD], reg.predict(X[THIRD]))
    assert reg.validation_scores_[-1] == pytest.approx(expected)


@pytest.mark.parametrize("options", [{"scoring": "loss"}, {"solver": "lbfgs"}])
def test_of_a_regressor_equal_targets_are_not_warned_of_where_r2_stops_nothing(options):
    reg = HessianRegularizedMLPRegressor(k=0, early_stopping=True, **SMALL, **options)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "All validation targets are")
        reg.fit(X, NUMBERS, X_val=X, y_val=np.ones(len(X)))


def test_a_callable_gets_a_model_of_this_epoch_and_the_users_labels():
    seen = []

    def scorer(estimator, X, y):
        seen.append(set(y))
        return estimator.score(X, y)

    clf = fit(make(k=0, scoring=scorer))
    assert len(seen) == clf.n_iter_
    assert seen[0] == set(NAMES)
    assert clf.validation_scores_[-1] == clf.score(X[THIRD], NAMES[THIRD])


def test_several_labels_are_scored():
    y = np.stack([Y == 1, X[:, 0] > 0], axis=1).astype(int)
    clf = fit(make(k=0, scoring="f1_macro"), y)
    expected = f1_score(y[THIRD], clf.predict(X[THIRD]), average="macro")
    assert clf.validation_scores_[-1] == pytest.approx(expected)


def test_names_of_features_cause_no_warning():
    frame = pd.DataFrame(X, columns=list("abcd"))
    clf = make(scoring="balanced_accuracy", early_stopping=True).fit(frame, NAMES)
    assert list(clf.feature_names_in_) == list("abcd")


def test_early_stopping_returns_the_network_of_the_best_score():
    clf = fit(make(k=0, scoring="loss", early_stopping=True, learning_rate_init=0.5))
    loss = log_loss(NAMES[THIRD], clf.predict_proba(X[THIRD]))
    assert -loss == pytest.approx(max(clf.validation_scores_))
    assert clf.best_validation_score_ == max(clf.validation_scores_)


def test_cycles_and_snapshots_have_that_score():
    clf = make(scoring="loss", early_stopping=True, **QUICK | {"max_iter": 9})
    fit(clf)
    assert len(clf.snapshots_) > 1
    assert {s.score for s in clf.snapshots_} <= set(clf.validation_scores_)


def test_another_scoring_begins_with_no_best_score():
    clf = fit(make(k=0, early_stopping=True, warm_start=True))
    fit(clf.set_params(scoring="loss"))
    assert clf.best_validation_score_ == max(clf.validation_scores_) < 0


def test_an_unknown_name_is_refused_as_scikit_learn_does():
    with pytest.raises(ValueError, match="sharpness"):
        make(scoring="sharpness", early_stopping=True).fit(X, Y)


class InTurn:
    """A scorer that returns these values, the last one for ever."""

    def __init__(self, *values):
        self.values = list(values)

    def __call__(self, estimator, X, y):
        return self.values.pop(0) if len(self.values) > 1 else self.values[0]


@pytest.mark.parametrize("k", [0, 70])
@pytest.mark.parametrize("max_iter", [5, 100], ids=["cut off", "plateau"])
@pytest.mark.parametrize("score", [np.nan, -np.inf, np.inf])
def test_a_score_that_is_never_finite_is_an_error(score, max_iter, k):
    options = {"early_stopping": True, "max_iter": max_iter, "k": k}
    clf = make(scoring=InTurn(score), **options)
    with pytest.raises(ValueError, match=r"score .*never finite in the last"):
        clf.fit(X, Y)
    assert not hasattr(clf, "net_")


def test_a_loss_that_is_never_finite_is_an_error():
    y, X_val = np.exp(NUMBERS), X[THIRD].copy()
    X_val *= 1e6  # some predictions overflow
    options = {"early_stopping": True, "scoring": "loss", **SMALL, "max_iter": 100}
    reg = HessianRegularizedMLPRegressor("poisson", **options)
    with pytest.raises(ValueError, match=r"negative loss.*\(now -inf\)"):
        reg.fit(X, y, X_val=X_val, y_val=y[THIRD])


def test_a_cycle_without_a_finite_score_is_an_error():
    scorer = InTurn(0.1, 0.1, 0.1, np.nan)
    clf = make(scoring=scorer, early_stopping=True, **QUICK | {"max_iter": 9})
    with pytest.raises(ValueError, match="in the last 2 epochs"):
        clf.fit(X, Y)


def test_a_single_epoch_without_a_score_is_no_improvement():
    scorer = InTurn(np.nan, 0.3, np.nan, 0.2)
    clf = make(k=0, scoring=scorer, early_stopping=True).fit(X, Y)
    assert clf.best_validation_score_ == 0.3
    best = clf.history_[:, "valid_score_best"]
    assert best == [False, True, False, False, False]
    whole = make(k=0, early_stopping=True, max_iter=2, scoring=InTurn(0.1, 0.3))
    assert np.array_equal(clf.coefs_[0], whole.fit(X, Y).coefs_[0])


def test_the_best_score_of_none_that_is_finite_is_nan():
    assert np.isnan(fit(make(k=0, scoring=InTurn(np.nan))).best_validation_score_)


@pytest.mark.parametrize(
    "look",
    [
        lambda clf: clf.loss_,
        lambda clf: clf.best_loss_,
        lambda clf: clf.snapshots_,
        lambda clf: clf.to_sklearn(),
    ],
    ids=["loss_", "best_loss_", "snapshots_", "to_sklearn"],
)
@pytest.mark.parametrize("early_stopping", [True, False])
def test_a_callable_may_look_at_what_is_fitted_in_the_first_epoch(look, early_stopping):
    def scorer(clf, X, y):
        look(clf)
        return clf.score(X, y)

    clf = fit(make(scoring=scorer, early_stopping=early_stopping, max_iter=1))
    assert clf.n_iter_ == 1


@pytest.mark.parametrize(
    "scoring",
    ["neg_max_error", lambda estimator, X, y: 1.0],
    ids=["name", "callable"],
)
def test_a_scorer_without_weights_is_refused_in_a_weighted_fit(scoring):
    reg = HessianRegularizedMLPRegressor(scoring=scoring, early_stopping=True, **SMALL)
    with pytest.raises(ValueError, match=r"scoring=.*takes no sample_weight"):
        reg.fit(X, NUMBERS, WEIGHT)
    reg.fit(X, NUMBERS, np.full(len(X), 2.0))  # equal weights are none


def test_what_is_no_number_is_refused():
    with pytest.raises(ValueError, match=r"returned \{'a': 1\}.*scorer's name"):
        fit(make(scoring=lambda estimator, X, y: {"a": 1}))
